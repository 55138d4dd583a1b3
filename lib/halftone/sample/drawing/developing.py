"""Exposure, grain and compression: the same for both kinds, so that they do not separate them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from halftone.sample.drawing.arrays import ByteImage, as_float32
from halftone.sample.drawing.noise import noise
from halftone.sample.drawing.people import Person

_GREY_OF_BGR = [0.114, 0.587, 0.299]  # ITU-R BT.601, as in JPEG


def adjust_tones(picture: Any, person: Person) -> ByteImage:
    """Adjust mean, contrast and colourfulness to the values of this person."""
    small = cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = small @ as_float32(_GREY_OF_BGR)
    gain = np.clip(person.std_grey / max(1.0, float(grey.std())), 0.4, 1.6)
    chroma = float(np.abs(small - grey[..., None]).mean()) * gain
    vivid = np.clip(person.chroma / max(1.0, chroma), 0, 1.3)
    turn = gain * (vivid * np.eye(3) + (1 - vivid) * np.array([_GREY_OF_BGR] * 3))
    shift = np.full((3, 1), person.mean_grey - gain * float(grey.mean()))
    out = cv2.transform(picture, np.hstack([turn, shift]))
    bounded: ByteImage = np.clip(out, 0, 255).astype(np.uint8)
    return bounded


def add_grain(picture: ByteImage, rng: Generator) -> ByteImage:
    """Add grain of random size and strength, like sensor noise or paper."""
    size_px = picture.shape[0]
    strength = np.float32(rng.uniform(2, 12))
    grains = noise(rng, size_px, float(rng.choice([1.0, 1.5, 2.5]))) * strength
    planes: Any = [as_float32(grains)] * 3
    return np.asarray(cv2.add(picture, cv2.merge(planes), dtype=cv2.CV_8U))


def encode_jpeg(picture: ByteImage, rng: Generator) -> bytes:
    """Encode with a random quality, so that the file size does not separate the kinds."""
    quality = int(rng.integers(55, 96))
    succeeded, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not succeeded:
        raise RuntimeError(f"OpenCV could not encode a {len(picture)} px picture as JPEG")
    return bytes(jpeg.tobytes())
