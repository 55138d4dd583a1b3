"""Decode DICOM files of one grey picture, by the package pydicom.

Stored values become values of the modality (Rescale Slope and Intercept), then grey levels by the
first window of the header; without a window, the full range of the stored values. What the numbers
mean is in the standard, PS3.3 C.7.6.3.1.2 and C.11.2.1.2.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from halftone.config import PixelSpec
from halftone.images.decoder_packages import require_decoder
from halftone.images.pillow_reader import reject_errors
from halftone.images.result import ImageRejectedError, PixelArray, check_size

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAGIC, MAGIC_AT = b"DICM", 128
_IMPLICIT, _EXPLICIT, _BIG_ENDIAN = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
)
_RUN_LENGTHS = "1.2.840.10008.1.2.5"
_INVERTED, _UPRIGHT_GREY = "MONOCHROME1", "MONOCHROME2"
_WHITE = 255
_Values = npt.NDArray[np.float64]


class Window(NamedTuple):
    """Which values become the grey levels between black and white."""

    centre: float
    width: float
    function: str  # LINEAR, LINEAR_EXACT or SIGMOID


class _Range(NamedTuple):
    """The stored values that a pixel can have."""

    bits: int
    is_signed: bool

    @property
    def lowest(self) -> int:
        return -(1 << self.bits - 1) if self.is_signed else 0

    @property
    def highest(self) -> int:
        return self.lowest + (1 << self.bits) - 1


def decode_dicom(data: bytes, spec: PixelSpec) -> PixelArray:
    """Decode to (h, w, 1) uint8.

    Raises:
        ImageRejectedError: the image cannot be used, or pydicom is not there.
    """
    require_decoder("dicom")
    import pydicom

    with reject_errors(data, "dicom"):
        dataset = pydicom.dcmread(io.BytesIO(data))
        _check_kind(dataset)
        check_size(spec, int(dataset.Columns), int(dataset.Rows))
        stored = _Range(int(dataset.BitsStored), bool(dataset.PixelRepresentation))
        _check_samples(dataset, stored)
        values = _keep_stored_bits(dataset.pixel_array, stored)
        slope = float(_first(dataset, "RescaleSlope", 1))
        intercept = float(_first(dataset, "RescaleIntercept", 0))
        if not slope:
            raise ImageRejectedError("damaged", "DICOM with the Rescale Slope 0")
        window = _read_window(dataset)
        if window is None:
            ends = sorted(end * slope + intercept for end in (stored.lowest, stored.highest))
            window = Window(sum(ends) / 2, ends[1] - ends[0], "LINEAR_EXACT")
        grey = apply_window(values * slope + intercept, window)
        if dataset.PhotometricInterpretation == _INVERTED:
            grey = _WHITE - grey
        return np.asarray(np.floor(grey + 0.5), np.uint8)[..., None]


def apply_window(values: _Values, window: Window) -> _Values:
    """Return grey levels from 0 to 255, not rounded, of values of the modality.

    Raises:
        ImageRejectedError: the window has no width, or a function that the standard does not have.
    """
    centre, width = window.centre, window.width
    if window.function == "SIGMOID" and width > 0:
        return np.asarray(_WHITE / (1 + np.exp(-4 * (values - centre) / width)))
    if window.function == "LINEAR" and width >= 1:
        centre, width = centre - 0.5, width - 1
    elif window.function != "LINEAR_EXACT" or width <= 0:
        raise ImageRejectedError("damaged", f"DICOM with a window {window.function}, width {width}")
    if not width:  # black up to the centre, white above it
        return np.where(values > centre, float(_WHITE), 0.0)
    return np.asarray(((values - centre) / width + 0.5).clip(0, 1) * _WHITE)


def _check_kind(dataset: Dataset) -> None:
    """Check that the file has one grey picture that can be decoded."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in (_IMPLICIT, _EXPLICIT, _BIG_ENDIAN, _RUN_LENGTHS):
        raise ImageRejectedError(
            "unsupported", f"DICOM in {syntax.name}; save it without compression, or as RLE"
        )
    if "Rows" not in dataset or "Columns" not in dataset:
        raise ImageRejectedError("unsupported", "DICOM without a picture")
    if "PixelData" not in dataset:
        raise ImageRejectedError(
            "truncated", "DICOM with the size of a picture, without its pixels"
        )
    frames = int(_first(dataset, "NumberOfFrames", 1))
    if frames != 1:
        raise ImageRejectedError("unsupported", f"DICOM of {frames:,} frames, one is decoded")
    colours = str(dataset.PhotometricInterpretation)
    if colours not in (_INVERTED, _UPRIGHT_GREY) or int(dataset.SamplesPerPixel) != 1:
        raise ImageRejectedError(
            "unsupported", f"DICOM of {colours}, {_INVERTED} and {_UPRIGHT_GREY} are decoded"
        )
    has_window = _first(dataset, "WindowCenter", None) is not None
    if "ModalityLUTSequence" in dataset or ("VOILUTSequence" in dataset and not has_window):
        raise ImageRejectedError("unsupported", "DICOM whose grey levels are in a table (LUT)")


def _check_samples(dataset: Dataset, stored: _Range) -> None:
    """Check the bits of samples, and that all samples are there."""
    allocated, high_bit = int(dataset.BitsAllocated), int(dataset.HighBit)
    if allocated not in (8, 16) or not 8 <= stored.bits <= allocated:
        raise ImageRejectedError(
            "unsupported", f"DICOM of {stored.bits} bits in {allocated}, 8 to 16 are decoded"
        )
    if high_bit != stored.bits - 1:
        raise ImageRejectedError("unsupported", f"DICOM of {stored.bits} bits up to bit {high_bit}")
    if dataset.file_meta.TransferSyntaxUID == _RUN_LENGTHS:
        return  # pydicom compares the decoded length
    expected = int(dataset.Rows) * int(dataset.Columns) * allocated // 8
    found = len(dataset.PixelData)
    if found not in (expected, expected + expected % 2):  # values have even lengths
        raise ImageRejectedError(
            "truncated" if found < expected else "damaged",
            f"DICOM of {found:,} bytes of pixels, its header requires {expected:,}",
        )


def _keep_stored_bits(pixels: npt.NDArray[Any], stored: _Range) -> _Values:
    """Drop the bits above those that are stored: older files have overlays there."""
    values = pixels.astype(np.int64) & (1 << stored.bits) - 1
    if stored.is_signed:
        sign = 1 << stored.bits - 1
        values = (values ^ sign) - sign
    return values.astype(np.float64)


def _read_window(dataset: Dataset) -> Optional[Window]:
    centre, width = _first(dataset, "WindowCenter", None), _first(dataset, "WindowWidth", None)
    if centre is None or width is None:
        return None
    function = str(_first(dataset, "VOILUTFunction", "LINEAR"))
    return Window(float(centre), float(width), function)


def _first(dataset: Dataset, name: str, default: Any) -> Any:
    """Return the first value of an element; the default if it is missing or empty."""
    value = dataset.get(name)
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = value[0] if value else None
    return default if value in (None, "") else value
