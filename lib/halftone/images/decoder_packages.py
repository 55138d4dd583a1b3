"""Formats that a package decodes which Halftone does not require: the extra `formats`."""

from __future__ import annotations

import importlib.util
from types import MappingProxyType
from typing import NamedTuple, Optional

from PIL import features

from halftone.images.result import ImageRejectedError

EXTRA = "formats"


class DecoderPackage(NamedTuple):
    """What decodes a format."""

    title: str  # of the format
    package: str  # as pip knows it
    module: str  # as Python imports it


DECODER_PACKAGES = MappingProxyType(
    {
        "heic": DecoderPackage("HEIC", "pillow-heif", "pillow_heif"),
        "avif": DecoderPackage("AVIF", "pillow 11.3 or later", "PIL.AvifImagePlugin"),
        "jxl": DecoderPackage("JPEG XL", "pillow-jxl-plugin", "pillow_jxl"),
        "dicom": DecoderPackage("DICOM", "pydicom", "pydicom"),
    }
)
# The formats of files with these endings, as far as names tell it.
KINDS_BY_ENDING = MappingProxyType(
    {"heic": "heic", "heif": "heic", "avif": "avif", "jxl": "jxl", "dcm": "dicom"}
)


def is_decoded_here(kind: str) -> bool:
    """Return whether this Python has what decodes a format."""
    if kind not in DECODER_PACKAGES:
        return True
    if kind == "avif":  # wheels of Pillow for some machines come without it
        return "avif" in features.modules and bool(features.check("avif"))
    return importlib.util.find_spec(DECODER_PACKAGES[kind].module) is not None


def missing_decoder(kind: str) -> Optional[str]:
    """Return which package a format needs and how to get it; None if this Python has it."""
    if is_decoded_here(kind):
        return None
    needed = DECODER_PACKAGES[kind]
    return f"{needed.title} needs {needed.package}; run: pip install 'halftone[{EXTRA}]'"


def missing_titles() -> list[str]:
    """Return the formats that this Python cannot decode for want of a package."""
    return [each.title for kind, each in DECODER_PACKAGES.items() if not is_decoded_here(kind)]


def require_decoder(kind: str) -> None:
    """Raise ImageRejectedError if a format needs a package that is not there."""
    missing = missing_decoder(kind)
    if missing:
        raise ImageRejectedError("unsupported", missing)
