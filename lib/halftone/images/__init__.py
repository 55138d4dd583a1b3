"""Bytes to uint8 pixels, or a reason for rejection: one function for training and scoring."""

from halftone.images.decoding import decode, decode_preview, detect_format
from halftone.images.perceptual import perceptual_hash
from halftone.images.result import REJECT_REASONS, DecodedImage, ImageRejectedError

__all__ = [
    "REJECT_REASONS",
    "DecodedImage",
    "ImageRejectedError",
    "decode",
    "decode_preview",
    "detect_format",
    "perceptual_hash",
]
