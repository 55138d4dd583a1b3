"""The job from its command line to its exit code, where no image needs a look."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
import yaml

import saved_model
from halftone import config as configs
from halftone import mlflow_store
from halftone.config import Config, Tracking
from halftone.errors import RunError
from halftone.retrain import command, lock, steps
from halftone.retrain.command import Asked
from halftone.retrain.registry import CHAMPION, Registry
from retrained import JOB, NAME, last_line, outcomes, write_config

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
            code = command.main(Asked(str(path), **asked))
        return code, last_line(out.getvalue()), err.getvalue()

    return call_


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(Tracking(uri=f"sqlite:///{tmp_path}/mlflow.db"), NAME)


def register(tmp_path: Path, registry: Registry, config: Config, count: int) -> None:
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
    with lock.held(str(tmp_path / "retrain" / "lock"), 600.0, print):
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
    closed = "the store is away (attempt 2, retrain.max_attempts is 2; the next night begins anew)"
    assert told == [
        (5, "failed", "the store is away", None),
        (5, "failed", closed, 1),
        (5, "failed", "the store is away", None),
    ]
    assert sorted(path.name for path in (tmp_path / "retrain" / "nights").iterdir()) == [
        "000001",
        "000002",
    ]


def test_a_night_whose_settings_have_changed_is_closed(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*given: Any, **more: Any) -> None:
        raise RunError("the store is away")

    monkeypatch.setattr(steps, "preprocess", away)
    assert call()[0] == 5
    assert call(overrides=["retrain.lock_secs=60", "retrain.keep.days=3"])[0] == 5
    assert [path.name for path in (tmp_path / "retrain" / "nights").iterdir()] == ["000001"]
    assert call(overrides=["train.epochs=3"])[0] == 5
    assert [(one["night"], one["reason"]) for one in outcomes(tmp_path)] == [
        (1, "the settings have changed since it began; the next night takes up all of it")
    ]


def test_by_hand(call: Call, registry: Registry, tmp_path: Path) -> None:
    loaded = configs.load(str(tmp_path / "retrain.yaml"))
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
    registry.point(CHAMPION, first)
    code, _, err = call(rollback=True)
    assert (code, champion(registry)) == (2, "2")
    assert "the champion is version 2, the last one of the history version 1; say which" in err


def champion(registry: Registry) -> Optional[str]:
    found = registry.champion()
    return found.number if found else None


def test_a_hand_sets_aside_the_night_that_was_not_finished(
    call: Call, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*given: Any, **more: Any) -> None:
        raise RunError("the store is away")

    monkeypatch.setattr(steps, "preprocess", away)
    register(tmp_path, registry, configs.load(str(tmp_path / "retrain.yaml")), 1)
    assert call()[0] == 5
    assert call(promote="1")[0] == 0
    assert [(one["outcome"], one["reason"]) for one in outcomes(tmp_path)] == [
        ("failed", "set aside by --promote 1"),
        ("promoted", "--promote 1"),
    ]


def test_history_before_the_first_night(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path)
    assert command.main(Asked(str(path), history=True)) == 0
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
def test_exit_codes(outcome: Mapping[str, Any], fails: bool, expected: int) -> None:
    settings = configs.from_mapping({"retrain": {"fail_on_refusal": fails}}, source="test")
    assert command.exit_code(settings, dict(outcome)) == expected


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
