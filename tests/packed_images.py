"""Write archives of files that are given as bytes."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any


def write_tar(path: Path, files: dict[str, bytes], **options: Any) -> Path:
    """Write members in the order of the dict."""
    with tarfile.open(path, "w", **options) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return path
