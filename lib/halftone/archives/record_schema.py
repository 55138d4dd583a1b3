"""Which features of the records of a TFRecord file are the image and the label.

The first record of a file decides, so that all of its images are read in the same way.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from halftone.archives.member import ArchiveError
from halftone.archives.signatures import NEEDED_BYTES, begins_as_image_file
from halftone.archives.tf_example import BYTES, FLOAT, ExampleError, Feature

_ENCODED = "image/encoded"  # by the convention of TensorFlow
_IMAGES = (_ENCODED, "image", "image_raw")
_LABELS = ("image/class/text", "image/class/label", "label", "class")
_SIDES = (("height", "width"), ("image/height", "image/width"))
_CHANNELS = ("channels", "depth", "image/channels")

Shape = tuple[int, int, int]  # height_px, width_px, channels


class RecordSchema(NamedTuple):
    """The features of a file."""

    image: str
    label: str  # "" if the first record has none
    has_pixels: bool  # the image is its pixels, and no image file


def find_schema(url: str, features: dict[str, Feature]) -> RecordSchema:
    """Return the features that the first record decides about.

    Raises:
        ArchiveError: there is no image, or several features may be it.
    """
    image = _find_image(url, features)
    values = _byte_values(features[image])
    beginning = features[image].beginning(values[0][0])[:NEEDED_BYTES] if values else b""
    shape = read_shape(features) if image != _ENCODED else None
    num_bytes = values[0][1] - values[0][0] if values else 0
    fits = shape is not None and shape[0] * shape[1] * shape[2] == num_bytes
    is_file = image == _ENCODED or begins_as_image_file(beginning)
    if len(values) != 1 or fits == is_file:
        what = "may be pixels as well as an image file" if fits else "is no image file"
        raise ArchiveError(
            f"{url}: the feature {image} of the first record {what}; store the bytes of an image "
            f"file as {_ENCODED}, or uint8 pixels as image with the features height, width and "
            "channels (1 or 3)"
        )
    label = next((name for name in _LABELS if _label_text(url, 0, name, features)), "")
    return RecordSchema(image, label, fits)


def _find_image(url: str, features: dict[str, Feature]) -> str:
    found = [name for name, feature in features.items() if feature.kind == BYTES]
    named = [name for name in _IMAGES if name in found]
    if named:
        return named[0]
    files = [name for name in found if _is_file(features[name])]
    if len(files) == 1:
        return files[0]
    names = ", ".join(sorted(features)) or "none"
    how_many = "several features" if files else "no feature"
    raise ArchiveError(
        f"{url}: the first record has {how_many} with an image (features: {names}); name one of "
        f"{', '.join(_IMAGES)}, or set preprocess.archives: ignore"
    )


def _is_file(feature: Feature) -> bool:
    values = _byte_values(feature)
    return len(values) == 1 and begins_as_image_file(feature.beginning(values[0][0]))


def _byte_values(feature: Feature) -> list[tuple[int, int]]:
    try:
        return feature.byte_values()
    except ExampleError:
        return []


def read_shape(features: dict[str, Feature]) -> Optional[Shape]:
    """Return the shape of pixels that features tell; None if they tell none that is read."""
    for names in _SIDES:
        sides = [_one_number(features.get(name)) for name in names]
        channels = [_one_number(features.get(name)) for name in _CHANNELS]
        known = [number for number in channels if number is not None]
        height_px, width_px = sides
        if height_px and width_px and min(height_px, width_px) > 0 and known[:1] in ([1], [3]):
            return height_px, width_px, known[0]
    return None


def _one_number(feature: Optional[Feature]) -> Optional[int]:
    if feature is None or feature.kind in (BYTES, FLOAT) or not feature.is_whole:
        return None
    try:
        values = feature.int_values()
    except ExampleError:
        return None
    return values[0] if len(values) == 1 else None


def find_label(url: str, number: int, schema: RecordSchema, features: dict[str, Feature]) -> str:
    """Return the label of a record; "" if it has none.

    Raises:
        ArchiveError: the feature is neither one text nor one whole number.
    """
    # A label that only later records have is an error of the caller.
    names = [schema.label] if schema.label else _LABELS
    found = (_label_text(url, number, name, features) for name in names)
    return next(filter(None, found), "")


def _label_text(url: str, number: int, name: str, features: dict[str, Feature]) -> str:
    feature = features.get(name)
    if feature is None or not feature.kind:
        return ""
    values: list[str] = []
    is_read = feature.kind != FLOAT and feature.is_whole
    try:
        if is_read and feature.kind == BYTES:
            values = [text.decode("utf-8", "replace").strip() for text in feature.text_values()]
        elif is_read:
            values = list(map(str, feature.int_values()))
    except ExampleError:
        is_read = False
    if not is_read or len(values) > 1:
        raise ArchiveError(
            f"{url}: the feature {name} of record {number:,} must be one text or one whole number; "
            "set preprocess.archives: ignore, or write it with one label for each image"
        )
    return values[0] if values else ""
