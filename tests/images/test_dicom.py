"""DICOM files that pydicom writes: grey levels by the formulas of PS3.3 C.11.2.1.2, and rejections.

pydicom's own windowing is the second reference.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixel_data_handlers.util import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
)

import rejected_images
from halftone.config import PixelSpec
from halftone.images import decode, decoder_packages

# One row of values of 12 bits.
VALUES = np.array([[0, 50, 75, 100, 125, 150, 2048, 4095]], np.uint16)
SPEC = PixelSpec(height_px=1, width_px=8, channels=1)


def dicom(
    values: np.ndarray = VALUES, syntax: str = ExplicitVRLittleEndian, **elements: Any
) -> bytes:
    """A file of these stored values; an element None is left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset(None, Dataset(), file_meta=meta, preamble=bytes(128))
    dataset.is_little_endian = syntax != ExplicitVRBigEndian
    dataset.is_implicit_VR = syntax == ImplicitVRLittleEndian
    bits = 8 * values.dtype.itemsize
    stored = values.astype(values.dtype.newbyteorder("<" if dataset.is_little_endian else ">"))
    defaults = {
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": min(bits, 12),
        "HighBit": min(bits, 12) - 1,
        "PixelRepresentation": int(values.dtype.kind == "i"),
        "PixelData": stored.tobytes() + b"\0" * (stored.nbytes % 2),
    }
    for name, value in {**defaults, **elements}.items():
        if value is not None:
            setattr(dataset, name, value)
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
    if syntax == RLELossless:
        dataset.is_little_endian, dataset.is_implicit_VR = True, False
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(RLELossless)
    if syntax == JPEGLosslessSV1:
        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
        dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, write_like_original=False)
    return buffer.getvalue()


def grey(data: bytes, spec: PixelSpec = SPEC) -> list[int]:
    return decode(data, spec).pixels[0, :, 0].tolist()


def rejection(data: bytes, spec: PixelSpec = SPEC) -> tuple[str, str]:
    return rejected_images.rejection(data, spec)


WINDOW = {"WindowCenter": 100, "WindowWidth": 100}


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        # From 50 to 150: 255 * (x - 50) / 100.
        ({**WINDOW, "VOILUTFunction": "LINEAR_EXACT"}, [0, 0, 64, 128, 191, 255, 255, 255]),
        # The same line with the centre 100.5 and the width 101.
        ({"WindowCenter": 100.5, "WindowWidth": 101}, [0, 0, 64, 128, 191, 255, 255, 255]),
        # 255 / (1 + exp(-4 (x - 100) / 100)): 1 + e^4, e^2, e^1, e^0, e^-1, e^-2.
        ({**WINDOW, "VOILUTFunction": "SIGMOID"}, [5, 30, 69, 128, 186, 225, 255, 255]),
        # A width of 1 is a threshold: below 100, and from there on.
        ({"WindowCenter": 100, "WindowWidth": 1}, [0, 0, 0, 255, 255, 255, 255, 255]),
        # The first of several windows.
        (
            {"WindowCenter": [100.5, 9], "WindowWidth": [101, 9]},
            [0, 0, 64, 128, 191, 255, 255, 255],
        ),
        # The window is one of values after Rescale: 2 x - 100.
        (
            {
                "WindowCenter": 100.5,
                "WindowWidth": 201,
                "RescaleSlope": 2,
                "RescaleIntercept": -100,
            },
            [0, 0, 64, 128, 191, 255, 255, 255],
        ),
        # Without a window, the full range of 12 bits: 255 x / 4095.
        ({}, [0, 3, 5, 6, 8, 9, 128, 255]),
        ({"WindowCenter": "", "WindowWidth": ""}, [0, 3, 5, 6, 8, 9, 128, 255]),
        ({"RescaleSlope": 7, "RescaleIntercept": -1024}, [0, 3, 5, 6, 8, 9, 128, 255]),
        ({"RescaleSlope": -1}, [255, 252, 250, 249, 247, 246, 127, 0]),
        ({"PhotometricInterpretation": "MONOCHROME1"}, [255, 252, 250, 249, 247, 246, 127, 0]),
    ],
)
def test_grey_levels_by_the_window(elements: dict[str, Any], expected: list[int]) -> None:
    assert grey(dicom(**elements)) == expected


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless]
)
def test_transfer_syntaxes(syntax: str) -> None:
    decoded = decode(dicom(syntax=syntax), SPEC)
    assert decoded[1:] == (1, 8, "dicom")
    assert decoded.pixels[0, :, 0].tolist() == [0, 3, 5, 6, 8, 9, 128, 255]


def test_signed_values_and_bits_above_those_that_are_stored() -> None:
    signed = np.array([[-2048, -1, 0, 2047]], np.int16)
    spec = SPEC.model_copy(update={"width_px": 4})
    assert grey(dicom(signed), spec) == [0, 127, 128, 255]
    overlay = np.array([[0x8000, 0x1FFF, 0x2800, 0x7000]], np.uint16)  # 0, 4095, 2048, 0
    assert grey(dicom(overlay), spec) == [0, 255, 128, 0]


def test_8_bits_and_16_bits() -> None:
    eight = np.array([[0, 1, 200], [7, 8, 255], [1, 2, 3]], np.uint8)  # 9 bytes and a filler
    spec = PixelSpec(height_px=3, width_px=3, channels=1)
    data = dicom(eight, BitsStored=8, HighBit=7)
    assert decode(data, spec).pixels[..., 0].tolist() == eight.tolist()
    deep = np.array([[0, 0x0101, 0x8080, 0xFFFF]], np.uint16)
    four = SPEC.model_copy(update={"width_px": 4})
    assert grey(dicom(deep, BitsStored=16, HighBit=15), four) == [0, 1, 128, 255]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(40, 400), (-600, 1500), (1000.5, 33)])
def test_pydicom_gives_the_same_grey_levels(function: str, centre: float, width: float) -> None:
    values = np.random.default_rng(3).integers(-2048, 2048, (24, 40)).astype(np.int16)
    data = dicom(
        values,
        WindowCenter=centre,
        WindowWidth=width,
        VOILUTFunction=function,
        RescaleSlope=1,
        RescaleIntercept=0,
    )
    dataset = pydicom.dcmread(io.BytesIO(data))
    windowed = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    # pydicom's grey levels go from -2048 to 2047, and its sigmoid begins there at 0.
    expected = (windowed + 2048) * 255 / 4095
    ours = decode(data, PixelSpec(height_px=24, width_px=40, channels=1)).pixels[..., 0]
    assert np.abs(ours - expected).max() <= 0.6


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (dicom(NumberOfFrames=3), "unsupported", "DICOM of 3 frames, one is decoded"),
        (
            dicom(PhotometricInterpretation="RGB"),
            "unsupported",
            "DICOM of RGB, MONOCHROME1 and MONOCHROME2 are decoded",
        ),
        (
            dicom(syntax=JPEGLosslessSV1),
            "unsupported",
            "DICOM in JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 "
            "[Selection Value 1]); save it without compression, or as RLE",
        ),
        (
            dicom(HighBit=15),
            "unsupported",
            "DICOM of 12 bits up to bit 15",
        ),
        (
            dicom(BitsStored=4, HighBit=3),
            "unsupported",
            "DICOM of 4 bits in 16, 8 to 16 are decoded",
        ),
        (
            dicom(VOILUTSequence=[Dataset()]),
            "unsupported",
            "DICOM whose grey levels are in a table (LUT)",
        ),
        (
            dicom(Rows=2),
            "truncated",
            "DICOM of 16 bytes of pixels, its header requires 32",
        ),
        (dicom()[:-1], "truncated", ""),
        (
            dicom(Columns=7),
            "damaged",
            "DICOM of 16 bytes of pixels, its header requires 14",
        ),
        (
            dicom(WindowCenter=1, WindowWidth=0),
            "damaged",
            "DICOM with a window LINEAR, width 0.0",
        ),
        (dicom(RescaleSlope=0), "damaged", "DICOM with the Rescale Slope 0"),
        (
            dicom(Rows=60_000, Columns=60_000),
            "too_large",
            "60000 x 60000 = 3,600,000,000 pixels, max_pixels is 100,000,000",
        ),
    ],
)
def test_files_that_are_rejected(data: bytes, reason: str, detail: str) -> None:
    found = rejection(data)
    assert found[0] == reason
    assert found[1] == detail or (not detail and found[1])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_no_truncated_file_is_accepted(syntax: str, capfd: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(5).integers(0, 4096, (20, 30)).astype(np.uint16)
    data = dicom(values, syntax)
    for length in range(140, len(data) - 8, 23):  # the last 8 bytes of RLE end a list
        assert rejection(data[:length])[0] in ("truncated", "damaged", "unsupported")
    assert capfd.readouterr() == ("", "")


def test_without_pydicom_a_file_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_packages.importlib.util, "find_spec", lambda _: None)
    detail = "DICOM needs pydicom; run: pip install 'halftone[formats]'"
    assert rejection(dicom()) == ("unsupported", detail)
