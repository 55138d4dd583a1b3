"""Drawing operations on a canvas: soft-edged ones on float32, hard-edged ones on bytes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from halftone.sample.drawing.arrays import ByteImage, FloatImage, PointArray, as_float32

_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel


def fill(canvas: Any, points: PointArray, size_px: int, colour: Any) -> None:
    """Fill a hard-edged shape; `size_px` is the side of the picture, the canvas may be a part."""
    outlines: Any = [_to_fixed_point(points, size_px)]
    cv2.fillPoly(canvas, outlines, _to_scalar(colour), cv2.LINE_AA, _SHIFT)


def stroke(canvas: Any, paths: list[PointArray], width: float, colour: Any) -> None:
    """Draw open lines, on a float or a byte canvas."""
    size_px = canvas.shape[0]
    lines, thick_px = (
        [_to_fixed_point(path, size_px) for path in paths],
        max(1, round(width * size_px)),
    )
    cv2.polylines(canvas, lines, False, _to_scalar(colour), thick_px, cv2.LINE_AA, _SHIFT)


def mask(points: PointArray, size_px: int, blur: float = 0.0) -> FloatImage:
    """How much of each pixel a shape covers, 0 to 1: (size_px, size_px)."""
    return _coverage(points, (size_px, size_px), size_px, blur)


def paint(
    canvas: FloatImage, points: PointArray, colour: Any, blur: float, alpha: float = 1.0
) -> None:
    """Paint a soft-edged shape on a float canvas; only its bounding box is touched."""
    size_px = canvas.shape[0]
    margin = int(3 * blur * size_px) + 2
    low = np.clip((points.min(axis=0) * size_px).astype(int) - margin, 0, size_px)
    high = np.clip((points.max(axis=0) * size_px).astype(int) + margin, 0, size_px)
    if (high <= low).any():
        return
    shape = (high[1] - low[1], high[0] - low[0])
    box = canvas[low[1] : high[1], low[0] : high[0]]
    blend(box, _coverage(points - low / size_px, shape, size_px, blur, alpha), colour)


def blend(canvas: FloatImage, weight: FloatImage, colours: Any) -> None:
    """Mix colours into a float canvas, with a weight for each pixel."""
    canvas += weight[..., None] * (as_float32(colours) - canvas)


def multiply_brightness(canvas: ByteImage, factor: Any) -> ByteImage:
    """Multiply bytes by a factor per pixel, with OpenCV; numpy takes four times as long."""
    planes: Any = [as_float32(factor)] * 3
    return np.asarray(cv2.multiply(canvas, cv2.merge(planes), dtype=cv2.CV_8U))


def soften(picture: Any, sigma_px: float) -> Any:
    return cv2.GaussianBlur(picture, (0, 0), sigma_px) if sigma_px > 0.3 else picture


def resize_square(picture: Any, size_px: int) -> Any:
    """Enlarge or shrink to (size_px, size_px)."""
    if picture.shape[0] == size_px:
        return picture
    interpolation = cv2.INTER_LINEAR if picture.shape[0] < size_px else cv2.INTER_AREA
    return cv2.resize(picture, (size_px, size_px), interpolation=interpolation)


def _coverage(
    points: PointArray, shape: tuple[int, int], size_px: int, blur: float, alpha: float = 1.0
) -> FloatImage:
    coverage = np.zeros(shape, np.uint8)
    fill(coverage, points, size_px, [255])
    return as_float32(soften(coverage, blur * size_px) * np.float32(alpha / 255))


def _to_fixed_point(points: PointArray, size_px: int) -> NDArray[np.int32]:
    fixed: NDArray[np.int32] = np.round(points * size_px * (1 << _SHIFT)).astype(np.int32)
    return fixed


def _to_scalar(colour: Any) -> list[float]:
    return [float(c) for c in colour]
