"""The package `halftone` as a zip archive, as Python imports it from."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import halftone

_NAME = "halftone.zip"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same files give the same bytes


def write_package_zip(folder: Path) -> Path:
    """Write the running package to a zip file in `folder`; return its path."""
    archive = folder / _NAME
    package = Path(halftone.__file__).parent
    if package.is_dir():
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(package.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    info = zipfile.ZipInfo(path.relative_to(package.parent).as_posix(), _DATE)
                    info.compress_type = zipfile.ZIP_DEFLATED
                    file.writestr(info, path.read_bytes())
    else:
        # This process imports it from a zip file, such as that of --py-files.
        shutil.copyfile(package.parent, archive)
    return archive
