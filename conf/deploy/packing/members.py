"""The files of an environment: this Python's own library, and the packages that jobs need."""

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
# All that jobs import, on the driver and on executors.
IMPORT_ALL = """
import importlib, pkgutil
import adlfs, gcsfs, halftone, horovod.tensorflow.keras, matplotlib.pyplot, petastorm.reader
import s3fs, sklearn.gaussian_process, tensorflow.keras.layers
for found in pkgutil.walk_packages(halftone.__path__, "halftone."):
    importlib.import_module(found.name)
"""

Member = tuple[Path, Path]  # a file, and its place in the archive


def needed(requirements: Path) -> list[Distribution]:
    """The distributions that a requirements file names, and all that they need."""
    lines = (line.partition("#")[0].strip() for line in requirements.read_text().splitlines())
    waiting = [Requirement(line) for line in lines if line]
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        found[name] = importlib.metadata.distribution(wanted.name)
        for extra in {"", *wanted.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            for line in found[name].requires or ():
                inner = Requirement(line)
                if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                    waiting.append(inner)
    return [found[name] for name in sorted(found)]


def compile_imported() -> None:
    """Have Python compile what jobs import, so that no executor waits for that."""
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)


def members(requirements: Path) -> list[Member]:
    """All files but those that no job opens, in order."""
    parts = (
        (packages(requirements), SITE, OF_PACKAGES),
        (standard_library(), LIB, OF_PYTHON),
    )
    found = {
        (source, target): None  # of some files two distributions say that they are theirs
        for files, root, patterns in parts
        for source, target in files
        if not is_left_out(target.relative_to(root), patterns)
    }
    return sorted(found, key=lambda member: member[1])


def packages(requirements: Path) -> Iterator[Member]:
    """All files of what a requirements file needs."""
    for distribution in needed(requirements):
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            # Commands, above site-packages, name the Python that they were installed with.
            if ".." not in file.parts and file.suffix != ".pyc" and source.exists():
                yield source, SITE / file
                yield from _compiled(source, SITE / file)


def standard_library() -> Iterator[Member]:
    """All files of this Python's own library."""
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
