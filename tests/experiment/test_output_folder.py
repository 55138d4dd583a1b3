from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from halftone import cli
from halftone.errors import InputError
from halftone.experiment import command, output_folder
from halftone.locking.lock import LockHeldError
from halftone.locking.output import hold_output
from lineage_server import datasets, running_server


def error_of(output: Path, name: str) -> str:
    with pytest.raises(InputError) as caught:
        output_folder.check_output(str(output), name)
    return str(caught.value)


def test_a_folder_belongs_to_the_experiment_that_wrote_first(tmp_path: Path) -> None:
    output_folder.check_output(str(tmp_path / "new"), "one")
    assert not (tmp_path / "new").exists()
    for _ in range(2):
        output_folder.claim_output(str(tmp_path), "one")
    assert json.loads((tmp_path / "experiment.json").read_text()) == {"name": "one"}
    assert error_of(tmp_path, "two") == (
        f"{tmp_path}: holds the experiment one and is not overwritten by two; give another --output"
    )


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    assert error_of(tmp_path, "one") == (
        f"{tmp_path}: exists and is not an experiment (it holds thesis.doc); give another --output"
    )
    (tmp_path / "table.md").touch()  # of a version that wrote no experiment.json
    output_folder.check_output(str(tmp_path), "one")


def test_an_experiment_that_runs_is_not_started_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / "table.yaml", tmp_path / "out"
    base = {"paths": {"images": str(tmp_path)}, "tracking": {"enabled": False}}
    path.write_text(yaml.safe_dump({"name": "one", "base": base, "runs": [{"name": "first"}]}))

    def run() -> int:
        return cli.run_with_exit_code(lambda: command.run_experiment(str(path), output=str(output)))

    with hold_output(str(output), "experiment"):
        assert run() == 75
    assert capsys.readouterr().err.startswith(f"busy: {output}: is in use by process ")
    assert [name.name for name in output.iterdir()] == ["_lock"]
    output_folder.claim_output(str(output), "another")
    assert run() == 2
    assert capsys.readouterr().err == (
        f"error: {output}: holds the experiment another and is not overwritten by one; give "
        "another --output\n"
    )


def test_lineage_events_of_an_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, output = tmp_path / "table.yaml", tmp_path / "out"
    base = {"paths": {"images": str(tmp_path)}, "tracking": {"enabled": False}}
    path.write_text(yaml.safe_dump({"name": "one", "base": base, "runs": [{"name": "first"}]}))
    with running_server() as server, hold_output(str(output), "experiment"):
        monkeypatch.setenv("OPENLINEAGE_URL", server.url)
        with pytest.raises(LockHeldError) as caught:
            command.run_experiment(str(path), output=str(output))
    assert server.states() == [("one.experiment", "START"), ("one.experiment", "FAIL")]
    failed = server.events[1]
    assert failed["run"]["facets"]["errorMessage"]["message"] == str(caught.value)
    assert datasets(failed["inputs"]) == [("file", str(tmp_path), {})]
    assert datasets(failed["outputs"]) == [("file", str(output), {})]
