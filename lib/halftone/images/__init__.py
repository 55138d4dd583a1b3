"""Decode image bytes to uint8 pixels, or reject them; training and scoring share the code."""

from halftone.images.decoding import decode, detect_format
from halftone.images.perceptual import perceptual_hashes
from halftone.images.pixel_encoding import decode_pixels, encode_pixels
from halftone.images.preview import decode_preview
from halftone.images.result import REJECT_REASONS, DecodedImage, ImageRejectedError

__all__ = [
    "REJECT_REASONS",
    "DecodedImage",
    "ImageRejectedError",
    "decode",
    "decode_pixels",
    "decode_preview",
    "detect_format",
    "encode_pixels",
    "perceptual_hashes",
]
