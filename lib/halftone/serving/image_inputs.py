"""Images of the rows of a request: file contents, URLs or pixels.

They are decoded as in scoring, so that a model predicts the same for an image everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt
import pandas as pd

from halftone import images, storage
from halftone.config import PixelSpec
from halftone.errors import InputError
from halftone.images import ImageRejectedError

IMAGE, URL, PIXELS = "image", "url", "pixels"
COLUMNS = (IMAGE, URL, PIXELS)
# As scoring rejects a file that cannot be read, and the size from which it does not read one.
UNREADABLE = "unreadable"
MAX_FILE_BYTES = 2**30

PixelArray = npt.NDArray[np.uint8]
Decoded = Union[PixelArray, ImageRejectedError]  # (H, W, C), or why there are no pixels


def find_columns(rows: pd.DataFrame) -> list[str]:
    """Return for each row the column that it gives, one of COLUMNS.

    Raises:
        InputError: a row gives none of them, or several.
    """
    given = {name: [_is_given(value) for value in rows[name]] for name in COLUMNS if name in rows}
    columns = []
    for number in range(len(rows)):
        names = [name for name in given if given[name][number]]
        if len(names) != 1:
            raise InputError(
                f"row {number} gives {' and '.join(names) or 'no image'}; give exactly one of "
                f"{', '.join(COLUMNS)}"
            )
        columns += names
    return columns


def read_images(
    rows: pd.DataFrame,
    columns: Sequence[str],
    spec: PixelSpec,
    first_row: int = 0,
    url_prefixes: Optional[Sequence[str]] = None,
) -> list[Decoded]:
    """Read and decode the image of each row.

    Args:
        rows: one or more of COLUMNS.
        columns: the column that each row gives, see `find_columns`.
        spec: the pixels that the model takes.
        first_row: number of the first row in its request, for messages.
        url_prefixes: URLs must begin with one of them; None allows all URLs.

    Raises:
        InputError: a value is not of the type of its column, or a URL may not be read.
        StoreError: a store denies access or does not respond.
    """
    values = [rows[name].iloc[number] for number, name in enumerate(columns)]
    places = [f"row {first_row + number}" for number in range(len(values))]
    by_url = [number for number, name in enumerate(columns) if name == URL]
    urls = [_check_url(values[number], places[number], url_prefixes) for number in by_url]
    contents = dict(zip(by_url, _read_urls(urls)))
    decoded: list[Decoded] = []
    for number, (name, value, place) in enumerate(zip(columns, values, places)):
        if name == PIXELS:
            decoded.append(_check_pixels(value, spec, place))
        elif name == URL:
            decoded.append(_decode(contents[number], spec))
        else:
            decoded.append(_decode(_check_bytes(value, place), spec))
    return decoded


def _is_given(value: Any) -> bool:
    if isinstance(value, (str, bytes, bytearray, list, tuple, np.ndarray)):
        return not isinstance(value, str) or bool(value)
    return not pd.isna(value)


def _decode(content: Union[bytes, OSError], spec: PixelSpec) -> Decoded:
    if isinstance(content, OSError):
        detail = content.strerror or str(content) or type(content).__name__
        return ImageRejectedError(UNREADABLE, detail)
    try:
        pixels = images.decode(content, spec).pixels
    except ImageRejectedError as rejected:
        return rejected
    if spec.encoding == "jpeg":
        # The model saw such pixels in its training too.
        return images.decode_pixels(images.encode_pixels(pixels, spec), spec)
    return pixels


def _check_bytes(value: Any, place: str) -> bytes:
    if not isinstance(value, (bytes, bytearray)):
        raise InputError(
            f"{place}: {IMAGE} is of type {type(value).__name__}; give the bytes of an image file"
        )
    return bytes(value)


def _check_url(value: Any, place: str, prefixes: Optional[Sequence[str]]) -> str:
    if not isinstance(value, str):
        raise InputError(f"{place}: {URL} is of type {type(value).__name__}; give text")
    url = storage.normalise_url(value)
    if prefixes is not None and not any(map(url.startswith, prefixes)):
        raise InputError(
            f"{place}: {url} may not be read; this model reads URLs that begin with "
            f"{', '.join(prefixes) or 'nothing, that is, none'} (url_prefixes of its model_config)"
        )
    return url


def _check_pixels(value: Any, spec: PixelSpec, place: str) -> PixelArray:
    try:
        array = _to_array(value)
    except (TypeError, ValueError):
        raise InputError(f"{place}: {PIXELS} is not an array of numbers") from None
    if array.shape != spec.shape:
        raise InputError(
            f"{place}: {PIXELS} has the shape {array.shape}; the model takes {spec.shape}: height, "
            f"width, channels. Give images of another size as {IMAGE} or {URL}"
        )
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 255:
        raise InputError(
            f"{place}: {PIXELS} are {array.dtype} from {array.min()} to {array.max()}; give grey "
            "levels, whole numbers from 0 to 255"
        )
    return array.astype(np.uint8)


def _to_array(value: Any) -> npt.NDArray[Any]:
    """Return nested sequences as one array: Spark gives an array of arrays."""
    if isinstance(value, (list, tuple)) or (
        isinstance(value, np.ndarray) and value.dtype == object
    ):
        return np.stack([_to_array(item) for item in value])
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError
    return array


def _read_urls(urls: Sequence[str]) -> list[Union[bytes, OSError]]:
    """Read files, those of one store together."""
    by_store: dict[str, list[int]] = {}
    for number, url in enumerate(urls):
        scheme, _, rest = url.partition("://")
        store = "" if storage.is_local(url) else f"{scheme}://{rest.partition('/')[0]}"
        by_store.setdefault(store, []).append(number)
    contents: dict[int, Union[bytes, OSError]] = {}
    for numbers in by_store.values():
        read = storage.read_files([urls[number] for number in numbers], MAX_FILE_BYTES)
        contents.update(zip(numbers, read))
    return [contents[number] for number in range(len(urls))]
