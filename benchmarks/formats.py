"""How fast each image format is decoded, beside JPEG of the same pictures.

    python benchmarks/formats.py [--images 24] [--side 1024] [--rounds 5]

Every format has the same photographs-like pictures (smooth shapes with noise). The formats take
turns, and the rate is that of the median round. A ratio to JPEG is printed, because that depends
less on the machine. JPEG is also decoded at a reduced scale, which no other format can be.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  # Pillow writes JPEG XL after this import
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from halftone.config import PixelSpec
from halftone.images import decode

OPTIONS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 90},
    "PNG": {"compress_level": 6},
    "WEBP": {"quality": 90},
    "HEIF": {"quality": 80},
    "AVIF": {"quality": 80, "speed": 8},
    "JXL": {"quality": 90, "effort": 3},
    "JPEG2000": {"irreversible": True, "quality_layers": [12]},
}


def draw_picture(side_px: int, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side_px, :side_px] / side_px
    planes = [
        128 + 90 * np.sin(rng.uniform(3, 20) * rows + rng.uniform(3, 20) * columns + phase)
        for phase in rng.uniform(0, 6, 3)
    ]
    noisy = np.stack(planes, axis=-1) + rng.normal(0, 4, (side_px, side_px, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, name: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **OPTIONS[name])
    return buffer.getvalue()


def encode_dicom(image: Image.Image) -> bytes:
    """12 bits of grey, without compression."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, Dataset(), file_meta=meta, preamble=bytes(128))
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = image.height, image.width, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.PixelData = (np.asarray(image.convert("L")).astype(np.uint16) << 4).tobytes()
    dataset["PixelData"].VR = "OW"
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, write_like_original=False)
    return buffer.getvalue()


def time_round(files: list[bytes], spec: PixelSpec) -> float:
    started = time.perf_counter()
    for data in files:
        decode(data, spec)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--side", type=int, default=1024, help="of the pictures, in px")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    pillow_heif.register_heif_opener()
    pictures = [draw_picture(arguments.side, seed) for seed in range(arguments.images)]
    files = {name: [encode(picture, name) for picture in pictures] for name in OPTIONS}
    files["DICOM"] = [encode_dicom(picture) for picture in pictures]
    full = PixelSpec(height_px=arguments.side, width_px=arguments.side, channels=3)
    small = PixelSpec(height_px=64, width_px=64, channels=3)
    cases = {name: (contents, full) for name, contents in files.items()}
    cases["JPEG to 64x64"] = (files["JPEG"], small)
    secs: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(arguments.rounds):
        for name, (contents, spec) in cases.items():
            secs[name].append(time_round(contents, spec))
    rates = {name: arguments.images / statistics.median(each) for name, each in secs.items()}
    print(f"{'format':14} {'images/s':>9} {'of JPEG':>8} {'bytes':>10}")
    for name, rate in rates.items():
        size = sum(map(len, cases[name][0])) // arguments.images
        print(f"{name:14} {rate:9.1f} {rate / rates['JPEG']:8.2f} {size:10,}")


if __name__ == "__main__":
    main()
