"""What a cluster gets: Halftone as a zip, and this Python with all packages as an archive.

python conf/deploy/pack.py dist    (./build.sh package does it)

The interpreter and its standard library are in the archive, so that a node needs no Python and it
runs wherever it is unpacked: what venv-pack makes links to a Python that every node must have at
the same path, and venv-pack takes no editable install. Halftone itself is in the zip alone.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import Distribution
from io import BytesIO
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements.txt"
LIB = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}")
SITE = LIB / "site-packages"
# What no job opens: headers, other people's tests, and the Spark of a node, which is its own.
LEFT_OUT = (
    *(f"{SITE}/{name}/include/*" for name in ("tensorflow", "pyarrow", "numpy/core")),
    *(f"{SITE}/{name}/tests/*" for name in ("pandas", "pyarrow", "scipy/*", "sklearn", "numpy/*")),
    *(f"{SITE}/pyspark/{name}/*" for name in ("jars", "examples", "data", "licenses", "tests")),
    f"{SITE}/clang/*",
    f"{SITE}/mlflow/server/js/*",
    *(f"{LIB}/{name}/*" for name in ("test", "idlelib", "turtledemo", "ensurepip", "config-*")),
)
NO_LIBRARY = ("__pycache__", "site-packages", "dist-packages")
# The dynamic linker finds a libpython only where the interpreter was installed.
FIND_LIBRARY = """#!/bin/sh
bin=$(cd "${{0%/*}}" && pwd)
export LD_LIBRARY_PATH="$bin/../lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
exec "$bin/{python}" "$@"
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


def members() -> Iterator[Member]:
    """All files of the environment, without those that no job opens."""
    for source, target in (*_packages(), *_standard_library()):
        if not any(fnmatch(str(target), pattern) for pattern in LEFT_OUT):
            yield source, target


def _packages() -> Iterator[Member]:
    for distribution in needed(REQUIREMENTS):
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            # Commands, above site-packages, name the Python that they were installed with.
            if ".." not in file.parts and file.suffix != ".pyc" and source.exists():
                yield source, SITE / file
                yield from _compiled(source, SITE / file)


def _standard_library() -> Iterator[Member]:
    root = Path(sysconfig.get_path("stdlib"))
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in NO_LIBRARY]
        for name in files:
            source = Path(folder, name)
            yield source, LIB / source.relative_to(root)
            yield from _compiled(source, LIB / source.relative_to(root))


def _compiled(source: Path, target: Path) -> Iterator[Member]:
    """What a module that was imported before was compiled to: importing it is fast from then on."""
    name = f"{source.stem}.{sys.implementation.cache_tag}.pyc"
    compiled = source.parent / "__pycache__" / name
    if source.suffix == ".py" and compiled.exists():
        yield compiled, target.parent / "__pycache__" / name


def write(archive: tarfile.TarFile) -> int:
    """Add everything; return the size in bytes of what is packed."""
    size_bytes = 0
    for source, target in sorted(members(), key=lambda member: member[1]):
        entry = archive.gettarinfo(source, str(target))
        if entry.issym():  # to another file of the standard library
            entry = archive.gettarinfo(source.resolve(), str(target))
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        size_bytes += entry.size
        with open(source, "rb") as file:
            archive.addfile(entry, file if entry.isfile() else None)
    _write_interpreter(archive)
    return size_bytes


def _write_interpreter(archive: tarfile.TarFile) -> None:
    python = Path(sys.executable).resolve()
    archive.add(python, f"bin/{LIB.name}")
    name = sysconfig.get_config_var("INSTSONAME")
    library = Path(sysconfig.get_config_var("LIBDIR"), name)
    # Debian says so of its Python, which holds all of it; the library is a package of its own.
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and library.exists():
        archive.add(library.resolve(), f"lib/{name}")
        text = FIND_LIBRARY.format(python=LIB.name).encode()
        entry = tarfile.TarInfo("bin/python")
        entry.mode, entry.size = 0o755, len(text)
        archive.addfile(entry, BytesIO(text))
    else:
        _link(archive, "bin/python", LIB.name)
    _link(archive, "bin/python3", "python")
    # Debian's Python looks for packages in a folder of its own name.
    _link(archive, str(LIB / "dist-packages"), "site-packages")


def _link(archive: tarfile.TarFile, name: str, to: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, to
    archive.addfile(entry)


def pack_environment(target: Path) -> str:
    """Write the archive unless it is there; return what to say of it."""
    stamp_file = target.with_name(f"{target.name}.stamp")
    stamp = _stamp()
    if target.exists() and stamp_file.exists() and stamp_file.read_text() == stamp:
        return f"{target}: up to date, {target.stat().st_size:,} bytes"
    stamp_file.unlink(missing_ok=True)
    part = target.with_name(f"{target.name}.part")
    # Level 1: libraries hardly shrink more, and every node waits for it to be unpacked.
    command = [shutil.which("pigz") or "gzip", "-1", "--stdout"]
    with open(part, "wb") as file:
        zipping = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file)
        with tarfile.open(fileobj=zipping.stdin, mode="w|", bufsize=2**20) as archive:
            size_bytes = write(archive)
        zipping.communicate()
    if zipping.returncode != 0:
        sys.exit(f"{command[0]} ended with exit code {zipping.returncode}")
    part.replace(target)
    stamp_file.write_text(stamp)
    return f"{target}: {target.stat().st_size:,} bytes, {size_bytes:,} unpacked"


def _stamp() -> str:
    """What decides what is in the archive."""
    versions = [f"{one.metadata['Name']}=={one.version}" for one in needed(REQUIREMENTS)]
    text = "\n".join([sys.version, sysconfig.get_platform(), Path(__file__).read_text(), *versions])
    return hashlib.sha256(text.encode()).hexdigest()


def pack_halftone(target: Path) -> str:
    """Write the zip. The same sources give the same bytes: sorted names, one date, no deflate."""
    lib = ROOT / "lib"
    files = sorted(filter(_ships, (lib / "halftone").rglob("*")))
    part = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(part, "w") as archive:
        for path in files:
            name = path.relative_to(lib).as_posix()
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    part.replace(target)
    return f"{target}: {len(files)} files, {target.stat().st_size:,} bytes"


def _ships(path: Path) -> bool:
    left_by_tools = path.name.startswith(".") or path.name.endswith(("~", ".pyc", ".orig", ".rej"))
    return path.is_file() and not left_by_tools and "__pycache__" not in path.parts


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for pack, name in ((pack_halftone, "halftone.zip"), (pack_environment, "environment.tar.gz")):
        started = time.monotonic()
        said = pack(folder / name)
        print(f"==> {said}, {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
