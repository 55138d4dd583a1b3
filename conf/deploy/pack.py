"""Pack Halftone as a zip, and this Python with all packages as an archive, for a cluster.

python conf/deploy/pack.py dist                         (called by ./build.sh package)
python conf/deploy/pack.py dist --portable JAVA_HOME    (called by ./build.sh package --portable)

The archive includes the interpreter and its standard library, so a node needs no Python and the
archive runs from any folder. An archive of venv-pack links to a Python that every node must have at
the same path, and venv-pack does not support editable installs. Halftone itself is in the zip only.

The portable archive is for a single machine that has neither Python nor Java nor Spark: it includes
all three, Halftone, jobs and configs.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import sysconfig
import tarfile
import time
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Callable

from packing import archive, members
from packing.left_out import PORTABLE_OF_PACKAGES
from packing.zipping import Gzip

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements.txt"
PART_BYTES = 4 * 2**20  # uncompressed size of a part that is compressed on its own
SAMPLE_FILES = ("__init__.py", "flags.py", "sample_info.py")  # of halftone.sample, in the zip
# What the portable archive has of this repository, besides the package.
PORTABLE_FILES = ("jobs/*.py", "conf/*.yaml", "conf/experiments/*.yaml")


def pack_environment(target: Path) -> str:
    """Write the archive unless it is up to date; return a one-line summary."""
    stamp_file = target.with_name(f"{target.name}.stamp")
    stamp = _stamp()
    if target.exists() and stamp_file.exists() and stamp_file.read_text() == stamp:
        return f"{target}: up to date, {target.stat().st_size:,} bytes"
    stamp_file.unlink(missing_ok=True)
    members.compile_imported()
    summary = _write_archive(target, members.members(REQUIREMENTS))
    stamp_file.write_text(stamp)
    return summary


def pack_portable(target: Path, java_home: Path) -> str:
    """Write the portable archive; return a one-line summary."""
    members.compile_imported()
    environment = members.members(REQUIREMENTS, PORTABLE_OF_PACKAGES)
    return _write_archive(target, [*added_members(java_home), *environment])


def added_members(java_home: Path) -> list[members.Member]:
    """Return the files that the portable archive adds to the environment."""
    lib = ROOT / "lib"
    package = [path for path in sorted((lib / "halftone").rglob("*")) if _is_source(path)]
    of_repository = [path for pattern in PORTABLE_FILES for path in sorted(ROOT.glob(pattern))]
    java = [path for path in sorted(java_home.rglob("*")) if path.is_file()]
    return [
        (ROOT / "conf" / "deploy" / "portable.sh", Path("python")),
        *((path, path.relative_to(ROOT)) for path in of_repository),
        *((path, Path("java") / path.relative_to(java_home)) for path in java),
        *((path, members.SITE / path.relative_to(lib)) for path in package),
    ]


def _write_archive(target: Path, files: Sequence[members.Member]) -> str:
    part = target.with_name(f"{target.name}.part")
    with (
        open(part, "wb") as file,
        Gzip(file) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", bufsize=PART_BYTES) as packed,
    ):
        size_bytes = archive.write(packed, files)
    part.replace(target)
    return f"{target}: {target.stat().st_size:,} bytes, {size_bytes:,} unpacked"


def _stamp() -> str:
    """Return a digest of everything that determines the archive's content."""
    versions = [f"{dist.metadata['Name']}=={dist.version}" for dist in members.needed(REQUIREMENTS)]
    code = [path.read_text() for path in sorted(Path(__file__).parent.rglob("*.py"))]
    text = "\n".join([sys.version, sysconfig.get_platform(), *code, *versions])
    return hashlib.sha256(text.encode()).hexdigest()


def pack_halftone(target: Path) -> str:
    """Write the zip; return a one-line summary.

    The same sources give the same bytes: sorted names, one date, no compression.
    """
    lib = ROOT / "lib"
    files = sorted(filter(_is_packed, (lib / "halftone").rglob("*")))
    part = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(part, "w") as packed:
        for path in files:
            name = path.relative_to(lib).as_posix()
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            packed.writestr(entry, path.read_bytes())
    part.replace(target)
    return f"{target}: {len(files)} files, {target.stat().st_size:,} bytes"


def _is_source(path: Path) -> bool:
    """Whether a path below lib is a file of the package, and not left by a tool."""
    left_by_tools = path.name.startswith(".") or path.name.endswith(("~", ".pyc", ".orig", ".rej"))
    return path.is_file() and not left_by_tools and "__pycache__" not in path.parts


def _is_packed(path: Path) -> bool:
    """Whether a path below lib is part of the zip."""
    # Drawing the sample serves the demo, the tests and the benchmarks, which run from a clone.
    package = ROOT / "lib" / "halftone"
    sample, command = package / "sample", package / "commands" / "sample.py"
    is_drawing = sample in path.parents and path not in {sample / name for name in SAMPLE_FILES}
    return _is_source(path) and not is_drawing and path != command


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--portable", type=Path, metavar="JAVA_HOME")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    packers: dict[str, Callable[[Path], str]] = {
        "halftone.zip": pack_halftone,
        "environment.tar.gz": pack_environment,
    }
    if args.portable is not None:
        name = f"halftone-portable-{sysconfig.get_platform()}.tar.gz"
        packers = {name: partial(pack_portable, java_home=args.portable)}
    for name, pack in packers.items():
        started = time.monotonic()
        summary = pack(args.folder / name)
        print(f"==> {summary}, {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
