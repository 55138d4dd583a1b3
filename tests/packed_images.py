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


def make_example(features: dict[str, list[Any]]) -> bytes:
    """Return a tf.train.Example; the kind of each feature is that of its first value."""
    from tensorflow import train  # here, because most tests need no TensorFlow

    def make_feature(values: list[Any]) -> Any:
        if values and isinstance(values[0], float):
            return train.Feature(float_list=train.FloatList(value=values))
        if values and isinstance(values[0], int):
            return train.Feature(int64_list=train.Int64List(value=values))
        return train.Feature(bytes_list=train.BytesList(value=values))

    made = {name: make_feature(values) for name, values in features.items()}
    return bytes(train.Example(features=train.Features(feature=made)).SerializeToString())


def write_tfrecord(path: Path, records: list[dict[str, list[Any]]], compression: str = "") -> Path:
    """Write records with TensorFlow's writer, each with the features of one Example."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(make_example(record))
    return path
