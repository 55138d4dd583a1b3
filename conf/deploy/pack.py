"""Pack Halftone as a zip, and this Python with all packages as an archive, for a cluster.

python conf/deploy/pack.py dist    (called by ./build.sh package)

The archive includes the interpreter and its standard library, so a node needs no Python and the
archive runs from any folder. An archive of venv-pack links to a Python that every node must have at
the same path, and venv-pack does not support editable installs. Halftone itself is in the zip only.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
import tarfile
import time
import zipfile
from pathlib import Path

from packing import archive, members
from packing.zipping import Gzip

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements.txt"
PART_BYTES = 4 * 2**20  # uncompressed size of a part that is compressed on its own
SAMPLE_FILES = ("__init__.py", "flags.py", "sample_info.py")  # of halftone.sample, in the zip


def pack_environment(target: Path) -> str:
    """Write the archive unless it is up to date; return a one-line summary."""
    stamp_file = target.with_name(f"{target.name}.stamp")
    stamp = _stamp()
    if target.exists() and stamp_file.exists() and stamp_file.read_text() == stamp:
        return f"{target}: up to date, {target.stat().st_size:,} bytes"
    stamp_file.unlink(missing_ok=True)
    members.compile_imported()
    part = target.with_name(f"{target.name}.part")
    with (
        open(part, "wb") as file,
        Gzip(file) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", bufsize=PART_BYTES) as packed,
    ):
        size_bytes = archive.write(packed, members.members(REQUIREMENTS))
    part.replace(target)
    stamp_file.write_text(stamp)
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


def _is_packed(path: Path) -> bool:
    """Whether a file below lib is part of the zip."""
    left_by_tools = path.name.startswith(".") or path.name.endswith(("~", ".pyc", ".orig", ".rej"))
    if not path.is_file() or left_by_tools or "__pycache__" in path.parts:
        return False
    # Drawing the sample serves the demo, the tests and the benchmarks, which run from a clone.
    package = ROOT / "lib" / "halftone"
    sample, command = package / "sample", package / "commands" / "sample.py"
    return (sample not in path.parents and path != command) or path in {
        sample / name for name in SAMPLE_FILES
    }


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for pack, name in ((pack_halftone, "halftone.zip"), (pack_environment, "environment.tar.gz")):
        started = time.monotonic()
        summary = pack(folder / name)
        print(f"==> {summary}, {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
