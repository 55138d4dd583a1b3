"""Halftone: from a bucket of raw images to a trained, tested and scored classifier."""

__version__ = "0.1.0"
