"""Check that this Python can run a command, before anything is imported that it may not have."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Optional

import halftone
from halftone.errors import InputError
from halftone.system.parent_watch import is_spark_submitted

OLDEST_PYTHON, NEWEST_PYTHON = (3, 9), (3, 11)
# The series of PySpark that Halftone is tested with.
SPARK_SERIES = "3.5."
# Packages that all commands need, by the name that is imported.
BASE_PACKAGES = (
    *("PIL", "cv2", "fsspec", "jinja2", "markdown", "matplotlib", "numpy", "psutil", "pyarrow"),
    *("pydantic", "simplejpeg", "yaml"),
)
# What several of them need, in versions that fit together.
_SHARED_PACKAGES = ("pydantic_core", "typing_extensions")
_VERSION = re.compile(rb"""^__version__[^=]*= *["']([^"']+)["']""", re.MULTILINE)


def check_python(command: str, needs: Mapping[str, str]) -> None:
    """Check the version of Python, that packages are there, and that PYTHONPATH hides none.

    Nothing is imported.

    Args:
        command: what the user has called, such as `halftone train`.
        needs: packages besides these, by the name that is imported, and the extra of the wheel
            that installs each; "" if it has it without an extra.

    Raises:
        InputError: a command that can run is named.
    """
    version = sys.version_info[:2]
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        raise InputError(
            f"{sys.executable} is Python {_format(version)}; {command} needs Python "
            f"{_format(OLDEST_PYTHON)} to {_format(NEWEST_PYTHON)}; {_cure('')}"
        )
    specs = {name: _find(name) for name in (*BASE_PACKAGES, *_SHARED_PACKAGES, *needs)}
    missing = [name for name, spec in specs.items() if spec is None]
    if missing:
        extras = sorted({needs[name] for name in missing if needs.get(name)})
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(
            f"{command} needs {', '.join(missing[:3])}{more}, which {sys.executable} does not "
            f"have; {_cure(','.join(extras))}"
        )
    found = {name: spec for name, spec in specs.items() if spec is not None}
    pyspark = found.pop("pyspark", None)
    _check_python_path(found)
    if pyspark is not None and "DATABRICKS_RUNTIME_VERSION" not in os.environ:
        _check_pyspark(pyspark)


def _format(version: Iterable[int]) -> str:
    return ".".join(map(str, version))


def _find(name: str) -> Optional[ModuleSpec]:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a module without a spec, as tests make them
        return None


def _cure(extras: str) -> str:
    """Return what to do: in a clone its own Python, else pip."""
    clone = Path(halftone.__file__).resolve().parents[2]
    if not (clone / "build.sh").is_file():
        package = f"halftone[{extras}]" if extras else "halftone"
        return f"run: {shlex.quote(sys.executable)} -m pip install {shlex.quote(package)}"
    python = clone / ".venv" / "bin" / "python"
    if not python.exists() or Path(sys.prefix).resolve() == python.parents[1].resolve():
        return f"run: {shlex.quote(str(clone / 'build.sh'))} setup"
    return f"run: {_repeat(str(python))}"


def _repeat(python: str, *before: str) -> str:
    """Return the command line of this process with another Python, and words before it."""
    script = sys.argv[0]
    is_command = os.path.basename(script) in ("halftone", "__main__.py")
    start = ["-m", "halftone"] if is_command else [script]
    return shlex.join([*before, python, *start, *sys.argv[1:]])


def _check_python_path(specs: Mapping[str, ModuleSpec]) -> None:
    """Raise InputError if PYTHONPATH hides a package that this Python has installed.

    Such a package may be of another version, or compiled for another Python.
    """
    if is_spark_submitted():  # --py-files come in that way
        return
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = {Path(entry).resolve() for entry in entries if entry} - installed
    for name, spec in specs.items():
        is_installed = any(
            (folder / name).is_dir() or (folder / f"{name}.py").is_file() for folder in installed
        )
        if is_installed and spec.origin and folders & set(Path(spec.origin).resolve().parents):
            raise InputError(
                f"PYTHONPATH is {os.environ['PYTHONPATH']}, where {spec.origin} hides the {name} "
                f"of {sys.prefix}; run: {_repeat(sys.executable, 'env', '-u', 'PYTHONPATH')}"
            )


def _check_pyspark(spec: ModuleSpec) -> None:
    """Raise InputError if PySpark is of another series; not if its version is not known."""
    version = _pyspark_version(spec)
    if version and not version.startswith(SPARK_SERIES):
        is_users = "PYTHONPATH" in os.environ and not is_spark_submitted()
        hint = "; unset PYTHONPATH, which names it" if is_users else ""
        raise InputError(
            f"{os.path.dirname(str(spec.origin))} is PySpark {version}, and Halftone needs "
            f"{SPARK_SERIES}x{hint}"
        )


def _pyspark_version(spec: ModuleSpec) -> str:
    """Return the version in the file version.py, without importing it; "" if it is not known."""
    path = os.path.join(os.path.dirname(spec.origin or ""), "version.py")
    try:
        text = spec.loader.get_data(path)  # type: ignore[union-attr]
    except (AttributeError, OSError):
        return ""
    match = _VERSION.search(text)
    return match[1].decode() if match else ""
