"""Two weeks of retraining runs, while a process serves the champion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from halftone.retrain.state import history
from retrain_scripts import HERE, run
from retrained import JOB, NAME, draw, outcomes
from served import check_predictions

# Call, exit code, outcome, new images, and the champion after it.
CALLS = [
    ("first", 0, "promoted", 24, "1"),
    ("nothing", 0, "nothing", 0, "1"),
    ("many", 0, "promoted", 400, "2"),
    ("few", 0, "kept", 20, "2"),
    ("broken", 0, "held", 12, "2"),
    ("nothing after broken", 0, "nothing", 0, "2"),
    ("swapped", 0, "refused", 640, "2"),
    ("swapped no more", 0, "kept", 0, "2"),
    ("bright", 0, "held", 200, "2"),
    ("bright again", 0, "held", 0, "2"),
    ("bright accepted", 0, "promoted", 0, "6"),
    ("second of two", 4, "busy", None, None),
    ("two at once", 0, "kept", 44, "6"),
    ("rollback", 0, "promoted", 0, "2"),
    ("nothing after rollback", 0, "nothing", 0, "2"),
]
WHY = {
    1: "the first model",
    2: "no new rows and no changed settings since run 1",
    3: "better by more than chance: accuracy 0.",
    4: "not better by more than chance: accuracy ",
    5: "new images differ from those before: share of rejects (PSI ",
    6: "no new rows and no changed settings since run 4",
    7: "worse by more than chance on the rows that the champion's own test had: accuracy ",
    8: "not better by more than chance: accuracy ",
    9: "new images differ from those before: pixel ",
    10: "new images differ from those before: pixel ",
    11: "better by more than chance: accuracy 0.",
    12: "not better by more than chance: accuracy ",
    13: "--rollback from 6 to 2",
    14: "no new rows and no changed settings since run 12",
}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_two_weeks_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = subprocess.Popen(
        [sys.executable, str(HERE / "champion_reader.py"), str(tmp_path), NAME]
    )
    try:
        calls = run("fortnight.py", tmp_path)
    finally:
        (tmp_path / "stop").touch()
        serving.wait(timeout=120)

    results = [
        (
            call["what"],
            call["code"],
            call.get("last", {}).get("outcome"),
            call.get("last", {}).get("new_images"),
            call.get("last", {}).get("champion"),
        )
        for call in calls
    ]
    assert results == CALLS
    busy = next(call["last"] for call in calls if call["what"] == "second of two")
    assert f"{tmp_path}/retrain: is in use by process " in busy["reason"]

    # The history agrees with the last lines of the calls.
    past = outcomes(tmp_path)
    expected = [(call[2], call[3], call[4]) for call in CALLS if call[0] != "second of two"]
    assert [
        (entry["outcome"], entry["new_images"], entry["champion"]) for entry in past
    ] == expected
    assert [entry["night"] for entry in past] == [*WHY]
    for entry in past:
        assert entry["reason"].startswith(WHY[entry["night"]]), entry["reason"]
    assert history.champion_lineage(past) == ["1", "2"]
    command = [sys.executable, JOB, "--config", str(tmp_path / "retrain.yaml"), "--history"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in table[2:-2]] == [str(entry["night"]) for entry in past]
    assert table[-1] == "champion: version 2"
    assert all(line.endswith(entry["reason"]) for line, entry in zip(table[2:], past))

    # Each run that compared two models has a page, which the page of all runs links to.
    pages = sorted((tmp_path / "retrain").glob("nights/*/comparison.html"))
    assert [int(path.parent.name) for path in pages] == [3, 4, 7, 8, 11, 12]
    index = (tmp_path / "retrain" / "index.html").read_text()
    assert all(f'href="nights/{path.parent.name}/comparison.html"' in index for path in pages)

    # A champion could be fetched and used at every moment, in the order of promotions.
    served = json.loads((tmp_path / "served.json").read_text())
    assert served["failures"] == []
    digests = [
        json.loads((tmp_path / "retrain" / "nights" / name / "06-train.json").read_text())["digest"]
        for name in ("000001", "000003", "000011", "000003")
    ]
    assert served["served"] == digests
    assert served["count"] > 20
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    champion = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    new = draw(tmp_path / "new", "n", 2, 9000)
    check_predictions(champion, tmp_path / "retrain" / "nights" / "000003" / "model", new)

    # Old models are removed; the champion's and the last three stay.
    kept = {path.parent.name for path in (tmp_path / "retrain" / "nights").glob("*/model")}
    assert kept == {"000003", "000008", "000011", "000012"}
    page = (tmp_path / "retrain" / "index.html").read_text()
    assert "The champion is version <strong>2</strong>" in page
