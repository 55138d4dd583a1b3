"""The job from its command line to its exit code, where no image needs a look."""

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
from halftone.retrain import command, job, manual, notify, steps
from halftone.retrain.command import RetrainArguments
from halftone.retrain.job import RetrainJob
from halftone.retrain.registry import CHAMPION, ModelRegistry, ModelVersion
from halftone.retrain.state import journal, lock
from halftone.tracking import mlflow_store
from retrained import JOB, NAME, in_a_process, last_line, outcomes, write_config

Call = Callable[..., "tuple[int, dict[str, Any], str]"]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Call in this process; return the exit code, the last line, and what was said on stderr."""
    path = write_config(tmp_path)
    # Made while standard error is pytest's own: Alembic closes the handlers that there are, and
    # absl's would close what it then takes for a file.
    mlflow_store.connect(f"sqlite:///{tmp_path}/mlflow.db")

    def call_(**asked: Any) -> tuple[int, dict[str, Any], str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command.main(RetrainArguments(str(path), **asked))
        return code, last_line(out.getvalue()), err.getvalue()

    return call_


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db"), NAME)


def register(tmp_path: Path, registry: ModelRegistry, config: Config, count: int) -> None:
    for number in range(1, count + 1):
        model = saved_model.save(tmp_path / f"m{number}", config, ["a", "b"], float(number))
        registry.register(str(model), f"night-{number}", "tests")


@pytest.mark.parametrize(
    ("overrides", "said"),
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
            "score.split is train: models would be judged on what they have seen; use test",
        ),
        (
            ["splits.test_fraction=0"],
            "splits.test_fraction is 0, which leaves no test rows to judge models on; raise it",
        ),
        (
            ["retrain.gate.floor=2"],
            "1 mistake\n  retrain.gate.floor = 2: must be less than or equal to 1",
        ),
        (
            ["retrain.gate.flor=0.5"],
            "1 mistake\n  retrain.gate.flor: unknown key; did you mean floor? valid here: measure, "
            "confidence, max_class_drop, floor",
        ),
    ],
)
def test_a_mistake_is_said_before_any_work(
    call: Call, tmp_path: Path, overrides: list[str], said: str
) -> None:
    code, last, err = call(overrides=overrides)
    said = said if "mistake" not in said else f"{tmp_path}/retrain.yaml: {said}"
    assert (code, err) == (2, f"error: {said}\n")
    assert last == {"outcome": "input", "reason": said, "exit_code": 2}
    assert not (tmp_path / "retrain").exists()


def test_a_second_call_says_who_is_at_it(call: Call, tmp_path: Path) -> None:
    with lock.hold_lock(str(tmp_path / "retrain" / "lock"), 600.0, print):
        code, last, err = call()
    assert (code, last["outcome"], last["exit_code"]) == (4, "busy", 4)
    assert f" holds the lock {tmp_path}/retrain/lock, and gave its last sign of life " in err


def test_images_that_are_not_there_close_the_night(call: Call, tmp_path: Path) -> None:
    for number in (1, 2):
        code, last, err = call()
        assert (code, last["outcome"], last["night"]) == (2, "failed", number)
        assert last["reason"].startswith(f"{tmp_path}/images: ")
        assert err.endswith(f"error: {last['reason']}\n")
    assert [one["outcome"] for one in outcomes(tmp_path)] == ["failed", "failed"]


def test_what_may_be_mended_is_tried_again_and_not_for_ever(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*given: Any, **more: Any) -> None:
        raise RunError("the store is away")

    monkeypatch.setattr(steps, "preprocess", away)
    file = tmp_path / "last.json"
    told = []
    for _ in range(3):
        code, last, _ = call(overrides=["retrain.max_attempts=2", f"retrain.outcome_file={file}"])
        told.append((code, last["outcome"], last["reason"], last.get("night")))
        assert json.loads(file.read_text())["outcome"] == "failed"
    closed = (
        "the store is away (attempt 2 at the step preprocess, retrain.max_attempts is 2; the next "
        "night begins anew)"
    )
    assert told == [
        (5, "failed", "the store is away", None),
        (5, "failed", closed, 1),
        (5, "failed", "the store is away", None),
    ]
    assert nights(tmp_path) == ["000001", "000002"]


def kill(*given: Any, **more: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_night_that_is_killed_again_and_again_is_given_up(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once() -> tuple[int, dict[str, Any], str]:
        return call(overrides=["retrain.max_attempts=2"])

    monkeypatch.setattr(steps, "preprocess", kill)
    assert [in_a_process(once) for _ in range(2)] == [-9, -9]
    code, last, _ = once()
    assert (code, last["outcome"], last["night"], last["reason"]) == (
        5,
        "failed",
        1,
        "2 calls, which is retrain.max_attempts, got no further than the step preprocess: they "
        "were killed or stopped. See the log and the machine (memory, a limit of time); the next "
        "night begins anew",
    )
    assert in_a_process(once) == -9
    assert nights(tmp_path) == ["000001", "000002"]


def test_a_training_that_gets_further_is_not_given_up(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(job: RetrainJob, folder: str, *given: Any) -> None:
        done = Path(folder, "model", "checkpoints")
        done.mkdir(parents=True, exist_ok=True)
        if len(list(done.iterdir())) < 4:
            (done / f"epoch-{len(list(done.iterdir())) + 1:04d}.npz").touch()
        kill()

    def once() -> tuple[int, dict[str, Any], str]:
        return call(overrides=["retrain.max_attempts=2"])

    left(tmp_path, preprocess=TAKEN_IN, snapshot={"dataset": ""}, drift=NO_DRIFT, start={})
    monkeypatch.setattr(steps, "train_challenger", train)
    assert [in_a_process(once) for _ in range(5)] == [-9] * 5
    code, last, _ = once()
    assert (code, last["night"]) == (5, 1)
    assert "2 calls, which is retrain.max_attempts, got no further than the step train: " in str(
        last["reason"]
    )


def test_a_kill_behind_the_outcome_changes_none(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "send_outcome", kill)  # no images: the night ends at once
    codes = [in_a_process(lambda: call(overrides=["retrain.max_attempts=2"])) for _ in range(2)]
    assert codes == [-9, -9]
    code, last, err = call(overrides=["retrain.max_attempts=2"])
    assert (code, last["outcome"], last["night"]) == (2, "failed", 1)
    assert last["reason"].startswith(f"{tmp_path}/images: ")
    assert err.startswith("notify: 2 calls, which is retrain.max_attempts, got no further than ")
    assert err.endswith("; the outcome stands\n")
    assert (tmp_path / "retrain" / "nights" / "000001" / "15-ended.json").exists()


def test_a_promotion_that_a_kill_kept_from_being_told_is_told_by_who_closes_the_night(
    call: Call, registry: ModelRegistry, tmp_path: Path
) -> None:
    register(tmp_path, registry, configs.load_config(str(tmp_path / "retrain.yaml")), 2)
    second = registry.version("2")
    assert second is not None
    registry.set_alias(CHAMPION, second)
    left(
        tmp_path,
        preprocess=TAKEN_IN,
        snapshot={"dataset": ""},
        drift=NO_DRIFT,
        start={"champion": "1"},
        train={"model": ""},
        register={"version": "2"},
        score={"measures": {}},
        gate={"action": "promote", "reason": "better by more than chance"},
    )
    assert call(overrides=["train.epochs=3"])[1]["night"] == 2
    told = [(one["outcome"], one["champion_before"], one["champion"]) for one in outcomes(tmp_path)]
    assert told == [("promoted", "1", "2"), ("failed", None, "2")]
    assert outcomes(tmp_path)[0]["reason"] == "better by more than chance"


TAKEN_IN = {"basis": "b", "new_images": 1, "new_rejects": 0, "rows": 9, "dataset_version": 1}
NO_DRIFT = {"level": "ok", "reason": ""}


def left(tmp_path: Path, **entries: journal.JournalEntry) -> None:
    """Leave a night whose process is gone behind the last of these steps."""
    settings = job.create_job(
        configs.load_config(str(tmp_path / "retrain.yaml")), pytest.fail
    ).fingerprint("")
    with lock.hold_lock(str(tmp_path / "retrain" / "lock"), 600.0, print) as held:
        own = journal.Journal(str(tmp_path / "retrain"), 1, held)
        for name, entry in {"begin": {"settings": settings}, **entries}.items():
            own.record(name, entry)


def nights(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "retrain" / "nights").iterdir())


def test_a_night_whose_settings_have_changed_is_closed(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*given: Any, **more: Any) -> None:
        raise RunError("the store is away")

    monkeypatch.setattr(steps, "preprocess", away)
    assert call()[0] == 5
    assert call(overrides=["retrain.lock_secs=60", "retrain.keep.days=3"])[0] == 5
    assert nights(tmp_path) == ["000001"]
    assert call(overrides=["train.epochs=3"])[0] == 5
    assert [(one["night"], one["reason"]) for one in outcomes(tmp_path)] == [
        (1, "the settings have changed since it began; the next night takes up all of it")
    ]


def test_by_hand(call: Call, registry: ModelRegistry, tmp_path: Path) -> None:
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
    assert "the champion is version 2, the last one of the history version 1; say which" in err


def champion(registry: ModelRegistry) -> Optional[str]:
    found = registry.champion()
    return found.number if found else None


def test_a_hand_sets_aside_the_night_that_was_not_finished(
    call: Call, registry: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*given: Any, **more: Any) -> None:
        raise RunError("the store is away")

    monkeypatch.setattr(steps, "preprocess", away)
    register(tmp_path, registry, configs.load_config(str(tmp_path / "retrain.yaml")), 1)
    assert call()[0] == 5
    assert call(promote="1")[0] == 0
    assert [(one["outcome"], one["reason"]) for one in outcomes(tmp_path)] == [
        ("failed", "set aside by --promote 1"),
        ("promoted", "--promote 1"),
    ]


@pytest.fixture
def killed_rollback(
    call: Call, registry: ModelRegistry, tmp_path: Path, request: pytest.FixtureRequest
) -> bool:
    """A rollback from 3 to 2 that was killed behind the change of the alias, or ahead of it."""
    is_moved: bool = request.param

    def killed(set_alias: Callable[..., None], held: lock.Lock, version: ModelVersion) -> None:
        if is_moved:
            steps.set_champion(set_alias, held, version)
        raise KeyboardInterrupt

    register(tmp_path, registry, configs.load_config(str(tmp_path / "retrain.yaml")), 3)
    for number in ("1", "2", "3"):
        assert call(promote=number)[0] == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manual, "set_champion", killed)
        assert call(rollback=True)[0] == 130
    assert champion(registry) == ("2" if is_moved else "3")
    return is_moved


@pytest.mark.parametrize("killed_rollback", [True, False], indirect=True)
def test_the_next_night_tells_what_came_of_a_killed_rollback(
    call: Call, tmp_path: Path, killed_rollback: bool
) -> None:
    assert call()[0] == 2  # there are no images
    said = "--rollback from 3 to 2"
    lost = ("failed", "3", f"{said}: killed on the way; say it again")
    own, night = outcomes(tmp_path)[3:]
    assert (own["outcome"], own["champion"], own["reason"]) == (
        ("promoted", "2", said) if killed_rollback else lost
    )
    assert (night["night"], night["outcome"]) == (5, "failed")


@pytest.mark.parametrize("killed_rollback", [True, False], indirect=True)
def test_a_killed_rollback_said_again_goes_one_step_back(
    call: Call, registry: ModelRegistry, tmp_path: Path, killed_rollback: bool
) -> None:
    code, last, _ = call(rollback=True)
    assert (code, last["reason"], champion(registry)) == (0, "--rollback from 3 to 2", "2")
    kinds = [one["outcome"] for one in outcomes(tmp_path)[3:]]
    assert kinds == (["promoted"] if killed_rollback else ["failed", "promoted"])
    assert call(rollback=True)[0] == 0
    assert champion(registry) == "1"


def test_history_before_the_first_night(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path)
    assert command.main(RetrainArguments(str(path), history=True)) == 0
    assert capsys.readouterr().out == "no night has ended yet\n"


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
    ("error", "code", "outcome", "said"),
    [
        (StoppedError("the checkpoint stands"), 143, "stopped", "stopped: the checkpoint stands\n"),
        (
            KeyboardInterrupt(), 130, "interrupted",
            "interrupted: run the same command again to go on\n",
        ),
    ],
)  # fmt: skip
def test_who_stops_a_night_leaves_it_to_the_next_call(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    outcome: str,
    said: str,
) -> None:
    def stopped(*given: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr(
        notify, "send_outcome", lambda *given: pytest.fail("nothing has come of it")
    )
    monkeypatch.setattr(steps, "preprocess", stopped)
    for _ in range(2):
        found, last, err = call()
        assert (found, last["outcome"], last["exit_code"], err) == (code, outcome, code, said)
    assert nights(tmp_path) == ["000001"]


def test_from_scratch_where_that_is_asked(registry: ModelRegistry, tmp_path: Path) -> None:
    config = configs.load_config(str(write_config(tmp_path, start="scratch")))
    own = job.create_job(config, pytest.fail)
    register(tmp_path, registry, config, 1)
    first = registry.version("1")
    assert first is not None
    why = ["there is no champion yet", "retrain.start is scratch"]
    assert steps.choose_start_weights(own, "d") == {
        "champion": None,
        "weights": None,
        "why": why[0],
    }
    registry.set_alias(CHAMPION, first)
    assert steps.choose_start_weights(own, "d") == {"champion": "1", "weights": None, "why": why[1]}


def test_the_job_from_a_shell(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    settings = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**settings, "paths": {}}))
    run = [sys.executable, JOB, "--config", str(path)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert last_line(done.stdout)["reason"] == (
        "paths.images is not set; give it in the config file or as --input URL"
    )
    both = subprocess.run(
        [*run, "--rollback", "--dry-run"], capture_output=True, text=True, check=False
    )
    assert both.returncode == 2
    assert "not allowed with argument" in both.stderr
