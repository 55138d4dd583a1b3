"""A Python, or a PYTHONPATH, with which a command cannot run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from halftone.errors import InputError
from halftone.system.python_environment import check_python

ROOT = Path(__file__).parents[2]
JOB = ROOT / "jobs" / "score.py"


def test_this_python_runs_all() -> None:
    needs = {"pyspark": "spark", "tensorflow": "score", "horovod": "train"}
    check_python("halftone train", needs)


def test_a_missing_package_in_a_clone() -> None:
    with pytest.raises(InputError) as caught:
        check_python("halftone train", {"pyspark": "spark", "no_such_package": "train"})
    assert str(caught.value) == (
        f"halftone train needs no_such_package, which {sys.executable} does not have; run: "
        f"{ROOT}/build.sh setup"
    )


@pytest.mark.parametrize(("version", "text"), [((3, 8, 19), "3.8"), ((3, 12, 1), "3.12")])
def test_a_python_that_is_not_supported(
    version: tuple[int, int, int], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(InputError) as caught:
        check_python("halftone score", {})
    assert str(caught.value).startswith(
        f"{sys.executable} is Python {text}; halftone score needs Python 3.9 to 3.11; run: "
    )


def run_job(*python: str, **variables: str) -> tuple[int, str]:
    """Run a job with a config that does not exist; return its exit code and its errors."""
    command = [*python, str(JOB), "--config", "no config.yaml"]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_a_python_with_nothing_but_the_source() -> None:
    code, errors = run_job(sys.executable, "-S", PYTHONPATH=str(ROOT / "lib"))
    python = ROOT / ".venv" / "bin" / "python"
    cure = (
        f"{python} {JOB} --config 'no config.yaml'" if python.exists() else f"{ROOT}/build.sh setup"
    )
    assert (code, errors) == (
        2,
        f"error: halftone score needs PIL, cv2, fsspec and 14 more, which {sys.executable} does "
        f"not have; run: {cure}\n",
    )


def test_a_python_path_that_hides_a_package(tmp_path: Path) -> None:
    other = tmp_path / "numpy" / "__init__.py"
    other.parent.mkdir()
    other.write_text("raise ImportError('compiled for another Python')\n")
    path = f"{tmp_path}:{ROOT / 'lib'}"
    prefix = Path(numpy.__file__).parents[4]
    assert run_job(sys.executable, PYTHONPATH=path) == (
        2,
        f"error: PYTHONPATH is {path}, where {other} hides the numpy of {prefix}; run: env -u "
        f"PYTHONPATH {sys.executable} {JOB} --config 'no config.yaml'\n",
    )


def test_a_pyspark_of_another_series(tmp_path: Path) -> None:
    (tmp_path / "pyspark").mkdir()
    (tmp_path / "pyspark" / "__init__.py").touch()
    (tmp_path / "pyspark" / "version.py").write_text('__version__: str = "3.4.1"\n')
    assert run_job(sys.executable, PYTHONPATH=f"{tmp_path}:{ROOT / 'lib'}") == (
        2,
        f"error: {tmp_path}/pyspark is PySpark 3.4.1, and Halftone needs 3.5.x; unset PYTHONPATH, "
        "which names it\n",
    )


def test_other_folders_of_python_path_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "own_module.py").touch()
    code, errors = run_job(sys.executable, PYTHONPATH=f"{tmp_path}:{ROOT / 'lib'}")
    assert (code, errors) == (
        2,
        "error: no config.yaml: cannot read the config: No such file or directory\n",
    )
