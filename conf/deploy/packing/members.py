"""The files of the environment: Python's standard library, and the packages that jobs need."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import Requirement
from packing.left_out import OF_PACKAGES, OF_PYTHON, is_left_out

LIB = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}")
SITE = LIB / "site-packages"
NO_LIBRARY = ("__pycache__", "site-packages", "dist-packages")
# All imports of the jobs, on the driver and on executors.
IMPORT_ALL = """
import importlib, pkgutil
import adlfs, gcsfs, halftone, horovod.tensorflow.keras, matplotlib.pyplot, petastorm.reader
import s3fs, sklearn.gaussian_process, tensorflow.keras.layers
for module in pkgutil.walk_packages(halftone.__path__, "halftone."):
    importlib.import_module(module.name)
"""

Member = tuple[Path, Path]  # a file, and its path in the archive


def needed(requirements: Path) -> list[Distribution]:
    """Return the distributions in a requirements file, and all that they depend on."""
    lines = (line.partition("#")[0].strip() for line in requirements.read_text().splitlines())
    pending = [Requirement(line) for line in lines if line]
    distributions: dict[str, Distribution] = {}
    resolved: set[tuple[str, str]] = set()  # names and extras
    while pending:
        requirement = pending.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        distributions[name] = importlib.metadata.distribution(requirement.name)
        resolved_extras = {extra for other, extra in resolved if other == name}
        for extra in {"", *requirement.extras} - resolved_extras:
            resolved.add((name, extra))
            for line in distributions[name].requires or ():
                dependency = Requirement(line)
                if dependency.marker is None or dependency.marker.evaluate({"extra": extra}):
                    pending.append(dependency)
    return [distributions[name] for name in sorted(distributions)]


def compile_imported() -> None:
    """Make Python compile all modules that jobs import, so that executors need not."""
    process = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True)
    if process.returncode != 0:
        sys.exit(process.stderr)


def members(requirements: Path, left_out: tuple[str, ...] = OF_PACKAGES) -> list[Member]:
    """Return all files of the environment, sorted by path, without those of packages that match."""
    parts = (
        (packages(requirements), SITE, left_out),
        (standard_library(), LIB, OF_PYTHON),
    )
    unique_members = {
        (source, target): None  # some files belong to two distributions
        for files, root, patterns in parts
        for source, target in files
        if not is_left_out(target.relative_to(root), patterns)
    }
    return sorted(unique_members, key=lambda member: member[1])


def packages(requirements: Path) -> Iterator[Member]:
    """Yield all files of the packages that a requirements file needs."""
    for distribution in needed(requirements):
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            # Skip commands (outside site-packages), which hold the path of this Python.
            if ".." not in file.parts and file.suffix != ".pyc" and source.exists():
                yield source, SITE / file
                yield from _compiled(source, SITE / file)


def standard_library() -> Iterator[Member]:
    """Yield all files of Python's standard library."""
    root = Path(sysconfig.get_path("stdlib"))
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in NO_LIBRARY]
        for name in files:
            source = Path(folder, name)
            yield source, LIB / source.relative_to(root)
            yield from _compiled(source, LIB / source.relative_to(root))


def _compiled(source: Path, target: Path) -> Iterator[Member]:
    name = f"{source.stem}.{sys.implementation.cache_tag}.pyc"
    compiled = source.parent / "__pycache__" / name
    if source.suffix == ".py" and compiled.exists():
        yield compiled, target.parent / "__pycache__" / name
