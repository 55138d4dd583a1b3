"""Write the environment as a tar archive that runs from any folder."""

from __future__ import annotations

import sys
import sysconfig
import tarfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from packing.libraries import loaded_part
from packing.members import LIB, Member

# Without this script, the dynamic linker finds libpython only in the original folder.
FIND_LIBRARY = """#!/bin/sh
bin=$(cd "${{0%/*}}" && pwd)
export LD_LIBRARY_PATH="$bin/../lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
exec "$bin/{python}" "$@"
"""


def write(archive: tarfile.TarFile, members: Iterable[Member]) -> int:
    """Add all members and the interpreter; return the uncompressed size in bytes."""
    size_bytes = sum(add(archive, source, target) for source, target in members)
    _write_interpreter(archive)
    return size_bytes


def add(archive: tarfile.TarFile, source: Path, target: Path) -> int:
    """Add a file, without the parts of a library that are not loaded; return its size in bytes."""
    # Some files of the standard library are links.
    entry = archive.gettarinfo(source.resolve(), str(target))
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)  # a fractional time takes a kilobyte in the archive
    with open(source, "rb") as file:
        part = loaded_part(file) if entry.isfile() else None
        if part is not None:
            entry.size = len(part)
        file.seek(0)
        archive.addfile(entry, part or file)
    return entry.size


def _write_interpreter(archive: tarfile.TarFile) -> None:
    python = Path(sys.executable).resolve()
    archive.add(python, f"bin/{LIB.name}")
    name = sysconfig.get_config_var("INSTSONAME")
    library = Path(sysconfig.get_config_var("LIBDIR"), name)
    # Debian sets the variable although its interpreter is static; the library is another package.
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and library.exists():
        add(archive, library, Path("lib", name))
        text = FIND_LIBRARY.format(python=LIB.name).encode()
        entry = tarfile.TarInfo("bin/python")
        entry.mode, entry.size = 0o755, len(text)
        archive.addfile(entry, BytesIO(text))
    else:
        _link(archive, "bin/python", LIB.name)
    _link(archive, "bin/python3", "python")
    # Debian's Python looks for packages in dist-packages.
    _link(archive, str(LIB / "dist-packages"), "site-packages")


def _link(archive: tarfile.TarFile, name: str, to: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, to
    archive.addfile(entry)
