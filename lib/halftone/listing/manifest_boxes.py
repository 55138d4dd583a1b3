"""Boxes of Ground Truth and Rekognition: in the attribute of a manifest's line, an image each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from halftone.listing.boxes import round_outward
from halftone.listing.json_lines import format_value
from halftone.listing.line_table import LineError

ANNOTATIONS, CLASS_MAP = "annotations", "class-map"
_SIDES = ("left", "top", "width", "height")
_CLASS = "class_id"


def has_boxes(value: Any) -> bool:
    """Return whether the value of an attribute is boxes."""
    return isinstance(value, dict) and ANNOTATIONS in value


def find_boxes(found: Mapping[str, Any], path: str, attribute: Optional[str]) -> dict[str, str]:
    """Return the label of each box of a line, by the path with its box.

    Args:
        attribute: that has the boxes; None: the only one.

    Raises:
        LineError: several attributes have boxes or none has, or a box is none.
    """
    names = [name for name in found if has_boxes(found[name]) and attribute in (None, name)]
    if not names and attribute is not None and found.get(attribute) is None:
        return {}
    if len(names) != 1:
        shown = f" ({', '.join(names)})" if names else ""
        raise LineError(
            f"has boxes in {len(names)} attributes{shown}, and "
            "preprocess.catalogue_boxes reads those of one; set preprocess.label_column to the "
            "attribute with the boxes"
        )
    (name,) = names
    metadata = found.get(f"{name}-metadata")
    class_map = metadata.get(CLASS_MAP) if isinstance(metadata, dict) else None
    labels: dict[str, str] = {}
    annotations = found[name][ANNOTATIONS]
    if not isinstance(annotations, list):
        raise LineError(f"has no list of {ANNOTATIONS} in {name!r}")
    for number, box in enumerate(annotations):
        place = f"{ANNOTATIONS}[{number}] of {name!r}"
        key, label = f"{path}{_read_box(place, box)}", _read_class(place, box, class_map)
        if labels.setdefault(key, label) != label:
            raise LineError(
                f"has in {place} the class {label}, and another annotation gives the same box "
                f"{labels[key]}; remove one"
            )
    return labels


def _read_box(place: str, box: Any) -> str:
    try:
        return round_outward(*(float(box[side]) for side in _SIDES)).fragment()
    except (KeyError, TypeError, ValueError):
        raise LineError(f"has {place}: {box!r}; it must have {', '.join(_SIDES)} in px") from None


def _read_class(place: str, box: Mapping[str, Any], class_map: Any) -> str:
    number = format_value(f"{place}.{_CLASS}", box.get(_CLASS, ""))
    if not isinstance(class_map, dict) or number not in class_map:
        raise LineError(
            f"has {place} with the {_CLASS} {number or 'missing'}, which the {CLASS_MAP} of the "
            "metadata does not have"
        )
    return format_value(f"{CLASS_MAP}.{number}", class_map[number])
