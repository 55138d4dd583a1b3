"""Bytes to uint8 pixels, or a reason for rejection: one function for training and scoring."""

from halftone.images.decoding import decode, preview, sniff
from halftone.images.perceptual import perceptual_hash
from halftone.images.pixel_spec import REASONS, Decoded, PixelSpec, Rejected

__all__ = [
    "REASONS",
    "Decoded",
    "PixelSpec",
    "Rejected",
    "decode",
    "perceptual_hash",
    "preview",
    "sniff",
]
