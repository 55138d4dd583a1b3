"""Write archives of files that are given as bytes."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


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


def write_idx(folder: Path, images: np.ndarray, labels: list[int], split: str = "train") -> Path:
    """Write images, (num_images, height, width) uint8, and their labels beside them."""
    path = folder / f"{split}-images-idx3-ubyte"
    path.write_bytes(struct.pack(">4I", 0x803, *images.shape) + images.tobytes())
    head = struct.pack(">2I", 0x801, len(labels))
    (folder / f"{split}-labels-idx1-ubyte").write_bytes(head + bytes(labels))
    return path
