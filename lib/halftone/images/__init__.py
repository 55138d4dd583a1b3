"""Bytes to uint8 pixels, or a reason for rejection: one function for training and scoring."""

from halftone.images.decoding import decode, decode_preview, detect_format
from halftone.images.perceptual import perceptual_hash
from halftone.images.pixel_spec import REJECT_REASONS, DecodedImage, ImageRejectedError, PixelSpec

__all__ = [
    "REJECT_REASONS",
    "DecodedImage",
    "ImageRejectedError",
    "PixelSpec",
    "decode",
    "decode_preview",
    "detect_format",
    "perceptual_hash",
]
