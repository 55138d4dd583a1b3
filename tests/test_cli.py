from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable

import pytest

from halftone import cli
from halftone.config import Config
from halftone.errors import InputError, RunError, StoppedError
from halftone.locking.lock import LockHeldError

FLAGS = {"--input": "images", "--output": "dataset"}


def run_job(job: Callable[..., None], argv: Sequence[str], options: Mapping[str, str] = {}) -> int:
    """Run a job that has the flags of `FLAGS` and `options`."""
    flags = cli.JobFlags(FLAGS, options)
    parser = cli.CommandParser(description="A job.")
    flags.add_to(parser)
    return cli.run_job(job, flags, parser.parse_args(argv))


@pytest.fixture
def conf(tmp_path: Path) -> str:
    (tmp_path / "run.yaml").write_text("paths: {images: a}\n")
    return str(tmp_path / "run.yaml")


def test_the_job_gets_the_config_with_flags_and_overrides(conf: str) -> None:
    configs: list[Config] = []
    argv = ["--config", conf, "--output", "b", "--set", "seed=3", "--set", "train.epochs=2"]
    assert run_job(configs.append, argv) == 0
    assert (configs[0].paths.images, configs[0].paths.dataset) == ("a", "b")
    assert (configs[0].seed, configs[0].train.epochs) == (3, 2)


def test_an_option_overrides_its_setting(conf: str) -> None:
    configs: list[Config] = []
    for argv in ([], ["--set", "splits.folds=4"], ["--set", "splits.folds=4", "--folds", "3"]):
        argv = ["--config", conf, *argv]
        options = {"--folds": "splits.folds"}
        assert run_job(configs.append, argv, options=options) == 0
    assert [config.splits.folds for config in configs] == [None, 4, 3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["--folds", "many"],
            'error: --folds many: 1 mistake\n  splits.folds = "many": must be a valid integer\n',
        ),
        (
            ["--set", "splits.folds=3", "--folds", "1"],
            "error: --folds 1: 1 mistake\n  splits.folds = 1: must be greater than or equal to 2\n",
        ),
        (
            ["--folds", "3", "--set", "splits.fold=3", "--set", "train.epochs=0"],
            "error: {conf} with --set splits.fold=3, --folds 3: 1 mistake\n"
            "  splits: fold 3 is not one of 3 folds; they count from 0\n"
            "--set train.epochs=0: 1 mistake\n"
            "  train.epochs = 0: must be greater than or equal to 1\n",
        ),
        (
            ["--folds", "[1"],
            "error: --folds [1: not YAML: line 1, column 3: expected ',' or ']', but got the end "
            "(while parsing a flow sequence from line 1)\n",
        ),
        (
            ["--input", "s4://b/x"],
            "error: --input s4://b/x: 1 mistake\n"
            '  paths.images = "s4://b/x": unknown scheme s4://; did you mean s3://? Known are '
            "s3://, gs://, abfs:// and hdfs://\n",
        ),
    ],
)
def test_a_mistake_in_a_flag_of_a_setting_names_the_flag(
    conf: str, given: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--config", conf, *given]
    assert run_job(lambda _: pytest.fail("ran"), argv, {"--folds": "splits.folds"}) == 2
    assert capsys.readouterr().err == message.format(conf=conf)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("no images"), 2, "error: no images\n"),
        (RunError("rank 1 died"), 1, "failed: rank 1 died\n"),
        (LockHeldError("out is in use"), 75, "busy: out is in use\n"),
        (
            OSError(28, "No space left on device", "/data/x"),
            1,
            "failed: [Errno 28] No space left on device: '/data/x'; free some space, then run the "
            "same command again to go on\n",
        ),
        (
            OSError(110, "Connection timed out"),
            1,
            "failed: [Errno 110] Connection timed out; run the same command again to go on\n",
        ),
        (
            FileNotFoundError(2, "No such file or directory", "/data/x"),
            2,
            "error: [Errno 2] No such file or directory: '/data/x'\n",
        ),
        (
            OSError(40, "Too many levels of symbolic links", "/data/x"),
            2,
            "error: [Errno 40] Too many levels of symbolic links: '/data/x'\n",
        ),
        (InputError("class \x1b[2Jcat\u202e:\n  x"), 2, "error: class \\x1b[2Jcat\\u202e:\n  x\n"),
        (StoppedError("epoch 3 is kept"), 143, "stopped: epoch 3 is kept\n"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to go on\n"),
        (KeyboardInterrupt("epoch 3 is kept"), 130, "interrupted: epoch 3 is kept\n"),
    ],
)
def test_an_error_gives_a_line_and_an_exit_code(
    conf: str, error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(_: Config) -> None:
        raise error

    assert run_job(job, ["--config", conf]) == code
    assert capsys.readouterr().err == message


def test_a_bug_keeps_its_traceback(conf: str) -> None:
    def job(_: Config) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_job(job, ["--config", conf])


def test_a_config_mistake_is_reported_before_the_job_runs(
    conf: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--config", conf, "--set", "train.epochs=many"]
    assert run_job(lambda _: pytest.fail("ran"), argv) == 2
    assert capsys.readouterr().err == (
        "error: --set train.epochs=many: 1 mistake\n"
        '  train.epochs = "many": must be a valid integer\n'
    )


def test_an_unknown_flag(conf: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_job(lambda _: None, ["--config", conf, "--ouput", "x"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --ouput x" in capsys.readouterr().err


LOSE_LOCK = """
import sys, time
from halftone import cli
from halftone.locking import output

output.TIMEOUT_SECS = 0.6
def job():
    with output.hold_output(sys.argv[1], "score") as lock:
        lock_file = sys.argv[1] + "/_lock/000001.json"
        taken = open(lock_file).read().replace('"token": "', '"token": "of another')
        open(sys.argv[1] + "/_lock/000002.json", "w").write(taken)
        time.sleep(600)  # as in a Spark job
sys.exit(cli.run_with_exit_code(job))
"""


def test_a_job_that_has_lost_its_lock_ends_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOSE_LOCK, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.sub(r"process \d+ on \S+", "process P on HOST", done.stderr) == (
        f"failed: {tmp_path}: process P on HOST has taken the lock over, because this process "
        "wrote no heartbeat for longer than 0.6 s (was it suspended?). It stops and publishes "
        "nothing; the other process goes on\n"
    )
