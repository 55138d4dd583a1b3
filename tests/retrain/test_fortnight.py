"""Two weeks of nights, with someone who serves the champion all the while."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from halftone.retrain.state import history
from retrain_scripts import HERE, run
from retrained import JOB, NAME, outcomes

# Call, exit code, outcome, new images, and the champion behind it.
CALLS = [
    ("first", 0, "promoted", 24, "1"),
    ("nothing", 0, "nothing", 0, "1"),
    ("many", 0, "promoted", 400, "2"),
    ("few", 0, "kept", 20, "2"),
    ("broken", 0, "held", 12, "2"),
    ("nothing after broken", 0, "nothing", 0, "2"),
    ("second of two", 4, "busy", None, None),
    ("two at once", 0, "kept", 30, "2"),
    ("swapped", 0, "refused", 640, "2"),
    ("swapped no more", 0, "kept", 0, "2"),
    ("bright", 0, "held", 200, "2"),
    ("bright again", 0, "held", 0, "2"),
    ("bright accepted", 0, "promoted", 0, "7"),
    ("killed", -9, None, None, None),
    ("after the kill", 0, "kept", 44, "7"),
    ("rollback", 0, "promoted", 0, "2"),
    ("nothing after rollback", 0, "nothing", 0, "2"),
]
WHY = {
    1: "the first model",
    2: "no new rows and no other settings since night 1",
    3: "better by more than chance: accuracy 0.",
    4: "not better by more than chance: accuracy ",
    5: "new images differ from those before: share of rejects (PSI ",
    6: "no new rows and no other settings since night 4",
    7: "not better by more than chance: accuracy ",
    8: "worse by more than chance on the rows that the champion's own test had: accuracy ",
    9: "not better by more than chance: accuracy ",
    10: "new images differ from those before: pixel ",
    11: "new images differ from those before: pixel ",
    12: "better by more than chance: accuracy 0.",
    13: "not better by more than chance: accuracy ",
    14: "--rollback from 7 to 2",
    15: "no new rows and no other settings since night 13",
}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_two_weeks(tmp_path: Path) -> None:
    serving = subprocess.Popen([sys.executable, str(HERE / "serving.py"), str(tmp_path), NAME])
    try:
        calls = run("fortnight.py", tmp_path)
    finally:
        (tmp_path / "stop").touch()
        serving.wait(timeout=120)

    found = [
        (
            call["what"],
            call["code"],
            call.get("last", {}).get("outcome"),
            call.get("last", {}).get("new_images"),
            call.get("last", {}).get("champion"),
        )
        for call in calls
    ]
    assert found == CALLS
    busy = next(call["last"] for call in calls if call["what"] == "second of two")
    assert f" holds the lock {tmp_path}/retrain/lock, and gave its last sign of " in busy["reason"]

    # The history is what the calls said, line by line.
    past = outcomes(tmp_path)
    told = [
        (call[2], call[3], call[4]) for call in CALLS if call[0] not in ("second of two", "killed")
    ]
    assert [(one["outcome"], one["new_images"], one["champion"]) for one in past] == told
    assert [one["night"] for one in past] == [*WHY]
    for one in past:
        assert one["reason"].startswith(WHY[one["night"]]), one["reason"]
    assert history.champion_lineage(past) == ["1", "2"]
    command = [sys.executable, JOB, "--config", str(tmp_path / "retrain.yaml"), "--history"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in table[2:-2]] == [str(one["night"]) for one in past]
    assert table[-1] == "champion: version 2"
    assert all(line.endswith(one["reason"]) for line, one in zip(table[2:], past))

    # The night that was killed while it trained went on from its checkpoint, and began once.
    night = tmp_path / "retrain" / "nights" / "000013"
    assert (night / "attempt-2.json").exists()
    fences = {
        path.name: json.loads(path.read_text())["fence"] for path in sorted(night.glob("0*.json"))
    }
    assert fences["05-start.json"] + 1 == fences["06-train.json"]

    # Each champion could be had and used at every moment, in the order in which they were one.
    served = json.loads((tmp_path / "served.json").read_text())
    assert served["failures"] == []
    digests = [
        json.loads((tmp_path / "retrain" / "nights" / name / "06-train.json").read_text())["digest"]
        for name in ("000001", "000003", "000012", "000003")
    ]
    assert served["served"] == digests
    assert served["count"] > 20

    # Old models are gone; the champion's and the last three stay.
    kept = {path.parent.name for path in (tmp_path / "retrain" / "nights").glob("*/model")}
    assert kept == {"000003", "000009", "000012", "000013"}
    page = (tmp_path / "retrain" / "index.html").read_text()
    assert "The champion is version <strong>2</strong>" in page
