"""Draw the JPEGs that the benchmarks read, and select images of an existing folder.

The images are synthetic: smooth shading, shapes and fine texture, all different, with about the
file size of a camera's JPEG of the same dimensions. The content of an image does not matter to a
decoder; its number of bytes does.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Optional

import cv2
import numpy as np

SEED = 7
_QUALITY = 90
_FOLDERS = ("one", "two")  # one label each
_SUFFIXES = {".jpg", ".jpeg", ".png"}


def draw_images(work: Path, count: int, size_px: int) -> Path:
    """Return a folder of `count` drawn JPEGs below `work`, which is kept for later runs."""
    folder = work / f"pictures-{count}x{size_px}"
    if folder.exists():
        return folder
    # Draw into a temporary folder and rename it: a killed run leaves no incomplete folder.
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=work))
    for name in _FOLDERS:
        (unfinished / name).mkdir(parents=True)
    print(f"drawing {count:,} JPEGs of {size_px}x{size_px} into {folder.name}", flush=True)
    with multiprocessing.Pool() as pool:
        for _ in pool.imap_unordered(partial(_draw_into, unfinished, size_px), range(count), 16):
            pass
    try:
        unfinished.rename(folder)
    except OSError:  # a concurrent benchmark was faster
        shutil.rmtree(unfinished)
    return folder


def list_images(folder: Path) -> list[str]:
    """Return the paths of the images below `folder`, relative to it, sorted."""
    return [name for name in _list_files(folder) if os.path.splitext(name)[1].lower() in _SUFFIXES]


def _list_files(folder: Path) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
    )


def select_images(folder: Path, count: Optional[int], links: Path) -> Path:
    """Return `folder`, or `links` filled with links to `count` images if it has other files too.

    All contestants read a folder, and most fail at a file that is no image, so a selection has to
    be a folder as well. The images are evenly spaced in sorted order, so that all labels occur.

    Raises:
        SystemExit: `folder` has fewer than `count` images.
    """
    names = list_images(folder)
    count = len(names) if count is None else count
    if not 0 < count <= len(names):
        raise SystemExit(f"error: {folder} has {len(names):,} images, but --count is {count:,}")
    if count == len(_list_files(folder)):
        return folder
    for number in range(count):
        name = names[number * len(names) // count]
        (links / name).parent.mkdir(parents=True, exist_ok=True)
        (links / name).symlink_to((folder / name).resolve())
    return links


def _draw_into(folder: Path, size_px: int, number: int) -> None:
    data = draw_jpeg(number, size_px)
    (folder / _FOLDERS[number % len(_FOLDERS)] / f"{number:06d}.jpg").write_bytes(data)


def draw_jpeg(number: int, size_px: int) -> bytes:
    """Return one colour JPEG of (size_px, size_px), a pure function of the arguments."""
    rng = np.random.default_rng([SEED, number])
    canvas = _shading(rng, size_px)
    _add_shapes(rng, canvas)
    _add_texture(rng, canvas)
    return cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _shading(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Return smooth colours, as of sky and skin: (size_px, size_px, 3) uint8."""
    coarse = rng.integers(30, 226, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC)


def _add_shapes(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Draw ellipses and lines with hard edges, in place."""
    size_px = len(canvas)
    for _ in range(24):
        centre, axes = rng.integers(0, size_px, 2), rng.integers(1, max(2, size_px // 6), 2)
        colour, angle = rng.integers(0, 256, 3).tolist(), int(rng.integers(0, 180))
        thick = int(rng.choice([-1, 1, 3]))
        cv2.ellipse(
            canvas, centre.tolist(), axes.tolist(), angle, 0, 360, colour, thick, cv2.LINE_AA
        )
        ends = rng.integers(0, size_px, (2, 2)).tolist()
        cv2.line(canvas, ends[0], ends[1], colour, 1 + size_px // 400, cv2.LINE_AA)


# Created once per process: drawing new noise for each image would take most of the time.
_tiles: list[np.ndarray] = []


def _add_texture(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Add grain and coarser texture in place, from tiles at random offsets."""
    if not _tiles:
        source = np.random.default_rng(SEED)
        for sigma, strength in ((0.7, 5), (1.5, 8), (4.0, 14)):
            noise = source.normal(size=(1024, 1024)).astype(np.float32)
            noise = cv2.GaussianBlur(noise, (0, 0), sigma)
            noise *= strength / noise.std()
            _tiles.append(noise)
    size_px = len(canvas)
    for tile in _tiles:
        down, right = rng.integers(0, len(tile), 2)
        texture = np.roll(tile, (down, right), (0, 1)) * rng.uniform(0.3, 1.0)
        texture = np.tile(texture, (-(-size_px // len(tile)),) * 2)[:size_px, :size_px]
        cv2.add(canvas, cv2.merge([texture] * 3), canvas, dtype=cv2.CV_8U)


def describe_side(folder: Path, names: list[str]) -> str:
    """Return the common side of 20 evenly spaced images; "mixed" if they differ."""
    sides = set()
    for name in names[:: -(-len(names) // 20)]:
        pixels = cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE)
        sides.update(pixels.shape if pixels is not None else (0,))
    return str(sides.pop()) if len(sides) == 1 else "mixed"
