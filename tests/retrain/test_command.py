"""The retraining job from its command line to its exit code, without images or Spark."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
import yaml

import saved_model
from halftone import config as configs
from halftone.config import Config, TrackingSettings
from halftone.errors import RunError, StoppedError
from halftone.locking import lock
from halftone.retrain import command, job, manual, notify, steps
from halftone.retrain.command import RetrainArguments
from halftone.retrain.job import RetrainJob
from halftone.retrain.registry import CHAMPION, ModelRegistry, ModelVersion
from halftone.retrain.state import journal
from halftone.tracking import mlflow_store
from lineage_server import datasets, running_server
from retrained import JOB, NAME, in_a_process, last_line, outcomes, write_config

Call = Callable[..., "tuple[int, dict[str, Any], str]"]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Run the command in this process; return its exit code, last line of stdout, and stderr."""
    path = write_config(tmp_path)
    # Create the store before stderr is redirected: Alembic closes all log handlers, and absl's
    # would close the StringIO.
    mlflow_store.connect(f"sqlite:///{tmp_path}/mlflow.db")

    def run_command(**arguments: Any) -> tuple[int, dict[str, Any], str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command.main(RetrainArguments(str(path), **arguments))
        return code, last_line(out.getvalue()), err.getvalue()

    return run_command


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db"), NAME)


def register(tmp_path: Path, registry: ModelRegistry, config: Config, count: int) -> None:
    for number in range(1, count + 1):
        model = saved_model.save(tmp_path / f"m{number}", config, ["a", "b"], float(number))
        registry.register(str(model), f"run-{number}", "tests")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["retrain.folder=null"],
            "retrain.folder is not set; give it in the config file or with --set",
        ),
        (
            ["paths.images=null"],
            "paths.images is not set; give it in the config file or as --input URL",
        ),
        (
            ["score.split=train"],
            "score.split is train: models would be compared on rows that they were "
            "trained on; use test",
        ),
        (
            ["splits.test_fraction=0"],
            "splits.test_fraction is 0, which leaves no test rows to compare models on; raise it",
        ),
        (
            ["retrain.gate.slice_floor=0.5"],
            "retrain.gate.slice_floor or max_slice_drop is set, and score.slices names no columns; "
            "name them, or leave these settings out",
        ),
        (
            ["retrain.gate.floor=2"],
            "1 mistake\n  retrain.gate.floor = 2: must be less than or equal to 1",
        ),
        (
            ["retrain.gate.flor=0.5"],
            "1 mistake\n  retrain.gate.flor: unknown key; did you mean floor? valid here: measure, "
            "confidence, max_class_drop, floor, slice_floor, max_slice_drop, slice_min_rows",
        ),
    ],
)
def test_config_mistakes_are_reported_before_any_work(
    call: Call, tmp_path: Path, overrides: list[str], message: str
) -> None:
    code, last, err = call(overrides=overrides)
    message = message if "mistake" not in message else f"--set {overrides[0]}: {message}"
    assert (code, err) == (2, f"error: {message}\n")
    assert last == {"outcome": "input", "reason": message, "exit_code": 2}
    assert not (tmp_path / "retrain").exists()


def test_a_column_of_slices_that_is_missing_is_reported_before_any_work(
    call: Call, tmp_path: Path
) -> None:
    catalogue = tmp_path / "cameras.csv"
    catalogue.write_text("path,camera\n")
    columns = "score.slices=[lens]"
    code, _, err = call(overrides=[columns, f"score.slice_catalogue={catalogue}"])
    assert (code, err) == (
        2,
        f"error: {catalogue}: has no column lens; it has 'path', 'camera'. Correct score.slices, "
        "or give another score.slice_catalogue\n",
    )
    code, _, err = call(overrides=[columns])
    assert (code, err.split(": the images of")[0]) == (
        2,
        "error: score.slices is lens, and no catalogue has these columns",
    )
    # A promotion by hand needs no slices.
    assert "--promote 7: " in call(promote="7", overrides=[columns])[2]


def test_concurrent_call_is_refused_and_names_the_lock_owner(call: Call, tmp_path: Path) -> None:
    with lock.hold_lock(str(tmp_path / "retrain"), "retrain", 600.0, print):
        code, last, err = call()
    assert (code, last["outcome"], last["exit_code"]) == (4, "busy", 4)
    assert err.startswith(f"busy: {tmp_path}/retrain: is in use by process ")


def test_missing_images_close_the_run(call: Call, tmp_path: Path) -> None:
    for number in (1, 2):
        code, last, err = call()
        assert (code, last["outcome"], last["night"]) == (2, "failed", number)
        assert last["reason"].startswith(f"{tmp_path}/images: ")
        assert err.endswith(f"error: {last['reason']}\n")
    assert [entry["outcome"] for entry in outcomes(tmp_path)] == ["failed", "failed"]


def test_lineage_events_of_a_run_that_fails_and_of_a_promotion_by_hand(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server() as server:
        monkeypatch.setenv("OPENLINEAGE_URL", server.url)
        _, outcome, _ = call()
        assert server.states() == [(f"{NAME}.retrain", "START"), (f"{NAME}.retrain", "FAIL")]
        failed = server.events[1]
        assert failed["run"]["facets"]["errorMessage"]["message"] == outcome["reason"]
        assert datasets(failed["inputs"]) == [("file", f"{tmp_path}/images", {})]
        assert datasets(failed["outputs"]) == [
            ("file", f"{tmp_path}/dataset", {}),
            ("file", f"{tmp_path}/retrain", {}),
        ]
        call(rollback=True)
        assert len(server.events) == 2


def fail_unreachable(*args: Any, **kwargs: Any) -> None:
    raise RunError("the store cannot be reached")


def test_failed_step_is_retried_until_max_attempts(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "preprocess", fail_unreachable)
    file = tmp_path / "last.json"
    results = []
    for _ in range(3):
        code, last, _ = call(overrides=["retrain.max_attempts=2", f"retrain.outcome_file={file}"])
        results.append((code, last["outcome"], last["reason"], last.get("night")))
        assert json.loads(file.read_text())["outcome"] == "failed"
    closed = (
        "the store cannot be reached (attempt 2 at the step preprocess, retrain.max_attempts is 2; "
        "the next call starts a new run)"
    )
    assert results == [
        (5, "failed", "the store cannot be reached", None),
        (5, "failed", closed, 1),
        (5, "failed", "the store cannot be reached", None),
    ]
    assert run_folders(tmp_path) == ["000001", "000002"]


def kill(*args: Any, **kwargs: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_run_that_is_killed_repeatedly_is_given_up(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt() -> tuple[int, dict[str, Any], str]:
        return call(overrides=["retrain.max_attempts=2"])

    monkeypatch.setattr(steps, "preprocess", kill)
    assert [in_a_process(attempt) for _ in range(2)] == [-9, -9]
    code, last, _ = attempt()
    assert (code, last["outcome"], last["night"], last["reason"]) == (
        5,
        "failed",
        1,
        "2 calls (retrain.max_attempts) did not get past the step preprocess: they were killed or "
        "stopped. Check the log and the machine (memory, time limits); the next call starts a new "
        "run",
    )
    assert in_a_process(attempt) == -9
    assert run_folders(tmp_path) == ["000001", "000002"]


def test_training_that_makes_progress_is_not_given_up(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(job: RetrainJob, folder: str, *args: Any) -> None:
        checkpoints = Path(folder, "model", "checkpoints")
        checkpoints.mkdir(parents=True, exist_ok=True)
        count = len(list(checkpoints.iterdir()))
        if count < 4:
            (checkpoints / f"epoch-{count + 1:04d}.npz").touch()
        kill()

    def attempt() -> tuple[int, dict[str, Any], str]:
        return call(overrides=["retrain.max_attempts=2"])

    leave_run(tmp_path, preprocess=PREPROCESSED, snapshot={"dataset": ""}, drift=NO_DRIFT, start={})
    monkeypatch.setattr(steps, "train_challenger", train)
    assert [in_a_process(attempt) for _ in range(5)] == [-9] * 5
    code, last, _ = attempt()
    assert (code, last["night"]) == (5, 1)
    assert "2 calls (retrain.max_attempts) did not get past the step train: " in last["reason"]


def test_kill_after_the_outcome_does_not_change_it(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "send_outcome", kill)  # there are no images: the run ends at once
    codes = [in_a_process(lambda: call(overrides=["retrain.max_attempts=2"])) for _ in range(2)]
    assert codes == [-9, -9]
    code, last, err = call(overrides=["retrain.max_attempts=2"])
    assert (code, last["outcome"], last["night"]) == (2, "failed", 1)
    assert last["reason"].startswith(f"{tmp_path}/images: ")
    assert err.startswith("notify: 2 calls (retrain.max_attempts) did not get past the step notify")
    assert err.endswith("; the outcome stands\n")
    assert (tmp_path / "retrain" / "nights" / "000001" / "15-ended.json").exists()


def test_promotion_that_was_killed_before_its_outcome_is_recorded_when_the_run_is_closed(
    call: Call, registry: ModelRegistry, tmp_path: Path
) -> None:
    register(tmp_path, registry, configs.load_config(str(tmp_path / "retrain.yaml")), 2)
    second = registry.version("2")
    assert second is not None
    registry.set_alias(CHAMPION, second)
    leave_run(
        tmp_path,
        preprocess=PREPROCESSED,
        snapshot={"dataset": ""},
        drift=NO_DRIFT,
        start={"champion": "1"},
        train={"model": ""},
        register={"version": "2"},
        score={"measures": {}},
        gate={"action": "promote", "reason": "better by more than chance"},
    )
    assert call(overrides=["train.epochs=3"])[1]["night"] == 2
    fields = ("outcome", "champion_before", "champion")
    recorded = [tuple(entry[field] for field in fields) for entry in outcomes(tmp_path)]
    assert recorded == [("promoted", "1", "2"), ("failed", None, "2")]
    assert outcomes(tmp_path)[0]["reason"] == "better by more than chance"


PREPROCESSED = {"basis": "b", "new_images": 1, "new_rejects": 0, "rows": 9, "dataset_version": 1}
NO_DRIFT = {"level": "ok", "reason": ""}


def leave_run(tmp_path: Path, **entries: journal.JournalEntry) -> None:
    """Leave an unfinished run with these journal entries, whose process has ended."""
    settings = job.create_job(
        configs.load_config(str(tmp_path / "retrain.yaml")), pytest.fail
    ).fingerprint("")
    with lock.hold_lock(str(tmp_path / "retrain"), "retrain", 600.0, print) as held:
        run_journal = journal.Journal(str(tmp_path / "retrain"), 1, held)
        for name, entry in {"begin": {"settings": settings}, **entries}.items():
            run_journal.record(name, entry)


def run_folders(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "retrain" / "nights").iterdir())


def test_run_is_closed_if_settings_have_changed(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "preprocess", fail_unreachable)
    assert call()[0] == 5
    assert call(overrides=["retrain.lock_secs=60", "retrain.keep.days=3"])[0] == 5
    assert run_folders(tmp_path) == ["000001"]
    assert call(overrides=["train.epochs=3"])[0] == 5
    assert [(entry["night"], entry["reason"]) for entry in outcomes(tmp_path)] == [
        (1, "the settings have changed since it began; the next run covers its images too")
    ]


def test_promote_and_rollback(call: Call, registry: ModelRegistry, tmp_path: Path) -> None:
    loaded = configs.load_config(str(tmp_path / "retrain.yaml"))
    code, _, err = call(promote="1")
    assert (code, err.splitlines()[-1]) == (
        2, f"error: --promote 1: {registry} has no version 1; it has none",
    )  # fmt: skip
    register(tmp_path, registry, loaded, 3)
    for number in ("1", "3", "2"):
        code, last, _ = call(promote=number)
        assert (code, last["outcome"], last["champion"]) == (0, "promoted", number)
    assert champion(registry) == "2"
    code, last, _ = call(rollback=True)
    assert (code, last["reason"], champion(registry)) == (0, "--rollback from 2 to 3", "3")
    assert call(rollback=True)[0] == 0
    assert champion(registry) == "1"
    code, _, err = call(rollback=True)
    assert (code, err.splitlines()[-1]) == (
        2, "error: --rollback: version 1 is the first champion; there is none before it",
    )  # fmt: skip
    first = registry.version("2")
    assert first is not None
    registry.set_alias(CHAMPION, first)
    code, _, err = call(rollback=True)
    assert (code, champion(registry)) == (2, "2")
    assert "the champion is version 2, but the last one in the history is version 1; choose" in err


def champion(registry: ModelRegistry) -> Optional[str]:
    version = registry.champion()
    return version.number if version else None


def test_manual_promotion_closes_an_unfinished_run(
    call: Call, registry: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "preprocess", fail_unreachable)
    register(tmp_path, registry, configs.load_config(str(tmp_path / "retrain.yaml")), 1)
    assert call()[0] == 5
    assert call(promote="1")[0] == 0
    assert [(entry["outcome"], entry["reason"]) for entry in outcomes(tmp_path)] == [
        ("failed", "set aside by --promote 1"),
        ("promoted", "--promote 1"),
    ]


@pytest.fixture
def killed_rollback(
    call: Call, registry: ModelRegistry, tmp_path: Path, request: pytest.FixtureRequest
) -> bool:
    """Leave a rollback from 3 to 2 that was killed after it moved the alias (True) or before."""
    is_moved: bool = request.param

    def interrupt(set_alias: Callable[..., None], held: lock.Lock, version: ModelVersion) -> None:
        if is_moved:
            steps.set_champion(set_alias, held, version)
        raise KeyboardInterrupt

    register(tmp_path, registry, configs.load_config(str(tmp_path / "retrain.yaml")), 3)
    for number in ("1", "2", "3"):
        assert call(promote=number)[0] == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manual, "set_champion", interrupt)
        assert call(rollback=True)[0] == 130
    assert champion(registry) == ("2" if is_moved else "3")
    return is_moved


@pytest.mark.parametrize("killed_rollback", [True, False], indirect=True)
def test_next_run_records_the_outcome_of_a_killed_rollback(
    call: Call, tmp_path: Path, killed_rollback: bool
) -> None:
    assert call()[0] == 2  # there are no images
    reason = "--rollback from 3 to 2"
    not_done = ("failed", "3", f"{reason}: killed before it was done; run the command again")
    rollback, run = outcomes(tmp_path)[3:]
    assert (rollback["outcome"], rollback["champion"], rollback["reason"]) == (
        ("promoted", "2", reason) if killed_rollback else not_done
    )
    assert (run["night"], run["outcome"]) == (5, "failed")


@pytest.mark.parametrize("killed_rollback", [True, False], indirect=True)
def test_repeating_a_killed_rollback_goes_back_only_one_step(
    call: Call, registry: ModelRegistry, tmp_path: Path, killed_rollback: bool
) -> None:
    code, last, _ = call(rollback=True)
    assert (code, last["reason"], champion(registry)) == (0, "--rollback from 3 to 2", "2")
    kinds = [entry["outcome"] for entry in outcomes(tmp_path)[3:]]
    assert kinds == (["promoted"] if killed_rollback else ["failed", "promoted"])
    assert call(rollback=True)[0] == 0
    assert champion(registry) == "1"


def test_a_promotion_that_dies_after_it_moved_the_alias_is_recorded_once(
    call: Call, registry: ModelRegistry, tmp_path: Path
) -> None:
    def move_and_die(set_alias: Callable[..., None], held: lock.Lock, version: Any) -> None:
        steps.set_champion(set_alias, held, version)
        kill()

    register(tmp_path, registry, configs.load_config(str(tmp_path / "retrain.yaml")), 2)
    assert call(promote="1")[0] == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manual, "set_champion", move_and_die)
        assert in_a_process(lambda: call(promote="2")) == -9
    assert champion(registry) == "2"
    assert len(outcomes(tmp_path)) == 1
    code, last, _ = call(promote="2")
    assert (code, last["outcome"], last["champion"]) == (0, "promoted", "2")
    assert [(entry["kind"], entry["champion"]) for entry in outcomes(tmp_path)] == [
        ("hand", "1"),
        ("hand", "2"),
    ]


def test_history_before_the_first_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path)
    assert command.main(RetrainArguments(str(path), history=True)) == 0
    assert capsys.readouterr().out == "no run has ended yet\n"


@pytest.mark.parametrize(
    ("outcome", "fails", "expected"),
    [
        ({"outcome": "promoted"}, True, 0),
        ({"outcome": "kept"}, True, 0),
        ({"outcome": "nothing"}, True, 0),
        ({"outcome": "dry-run"}, True, 0),
        ({"outcome": "refused"}, False, 0),
        ({"outcome": "refused"}, True, 3),
        ({"outcome": "held"}, True, 3),
        ({"outcome": "failed"}, False, 5),
        ({"outcome": "failed", "exit_code": 2}, False, 2),
    ],
)
def test_exit_codes_of_outcomes(outcome: Mapping[str, Any], fails: bool, expected: int) -> None:
    settings = configs.config_from_mapping({"retrain": {"fail_on_refusal": fails}}, source="test")
    assert command.exit_code(settings, dict(outcome)) == expected


@pytest.mark.parametrize(
    ("error", "code", "outcome", "message"),
    [
        (
            StoppedError("the checkpoint stands"), 143, "interrupted",
            "stopped: the checkpoint stands\n",
        ),
        (
            KeyboardInterrupt(), 130, "interrupted",
            "interrupted: run the same command again to go on\n",
        ),
    ],
)  # fmt: skip
def test_stopped_run_stays_unfinished_for_the_next_call(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    outcome: str,
    message: str,
) -> None:
    def stop(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(notify, "send_outcome", lambda *args: pytest.fail("there is no outcome"))
    monkeypatch.setattr(steps, "preprocess", stop)
    for _ in range(2):
        actual_code, last, err = call()
        assert (actual_code, last["outcome"], last["exit_code"]) == (code, outcome, code)
        assert err == message
    assert run_folders(tmp_path) == ["000001"]


def test_start_from_scratch(registry: ModelRegistry, tmp_path: Path) -> None:
    config = configs.load_config(str(write_config(tmp_path, start="scratch")))
    retrain_job = job.create_job(config, pytest.fail)
    register(tmp_path, registry, config, 1)
    first = registry.version("1")
    assert first is not None
    assert steps.choose_start_weights(retrain_job, "d") == {
        "champion": None,
        "weights": None,
        "why": "there is no champion yet",
    }
    registry.set_alias(CHAMPION, first)
    assert steps.choose_start_weights(retrain_job, "d") == {
        "champion": "1",
        "weights": None,
        "why": "retrain.start is scratch",
    }


def test_job_from_a_shell(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    settings = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**settings, "paths": {}}))
    job_command = [sys.executable, JOB, "--config", str(path)]
    completed = subprocess.run(job_command, capture_output=True, text=True, check=False)
    assert completed.returncode == 2
    assert last_line(completed.stdout)["reason"] == (
        "paths.images is not set; give it in the config file or as --input URL"
    )
    both = subprocess.run(
        [*job_command, "--rollback", "--dry-run"], capture_output=True, text=True, check=False
    )
    assert both.returncode == 2
    assert "not allowed with argument" in both.stderr
