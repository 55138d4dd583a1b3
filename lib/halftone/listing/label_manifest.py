"""Manifests of SageMaker, its Ground Truth, and Rekognition: JSON Lines with `source-ref`.

An attribute is a key such as `pet`, and `pet-metadata` describes it. In Rekognition's manifests
each label has an attribute of its own, so the attributes may differ between lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from halftone.dataset import schema
from halftone.errors import InputError
from halftone.listing.json_lines import format_value, parse_object, sample_objects
from halftone.listing.line_table import SAMPLE_LINES, LineError, LineTable, table_size
from halftone.listing.manifest_boxes import CLASS_MAP, find_boxes, has_boxes
from halftone.listing.table_columns import ColumnTitles, KnownColumns

ENDING = ".manifest"
PATH_KEY = "source-ref"
_TEXT_KEY = "source"  # holds what is labelled, in place of its path
_METADATA = "-metadata"
_CLASS_NAME, _TYPE = "class-name", "type"
_CLASSIFICATION = "groundtruth/image-classification"
_CURE = "set preprocess.label_column to the attribute that is the label"


class ManifestLine(NamedTuple):
    """The format of a line."""

    columns: tuple[str, ...]  # path, and label if the first lines have one
    attribute: Optional[str]  # that is the label, or has the boxes; None: the only one
    boxes: bool = False  # each box is a row

    def parse(self, text: str) -> list[list[str]]:
        found = parse_object(text)
        path = found.get(PATH_KEY)
        if not isinstance(path, str) or not path:
            raise LineError(f"has no {PATH_KEY}, the path of an image")
        if self.boxes:
            return list(map(list, find_boxes(found, path, self.attribute).items()))
        label = find_label(found, self.attribute)
        if schema.LABEL in self.columns:
            return [[path, label]]
        if label:
            raise LineError(
                f"has the label {label!r}, and none of the first {SAMPLE_LINES:,} lines has one; "
                "write a line with a label first"
            )
        return [[path]]


def find_label(found: Mapping[str, Any], attribute: Optional[str]) -> str:
    """Return the label of a line; empty if it has none.

    Args:
        attribute: that is the label; None: the only one, of those that metadata describe if there
            are any.

    Raises:
        LineError: the line has several labels, or boxes.
    """
    if attribute is not None:
        return _label_of(found, attribute) if found.get(attribute) is not None else ""
    names = [name for name in found if _may_be_label(found, name)]
    described = [name for name in names if _is_classification(found, name)]
    others = [name for name in names if f"{name}{_METADATA}" in found]
    names = described or others or names
    if not names:
        return ""
    if len(names) > 1:
        labels = ", ".join(f"{name} ({_label_of(found, name)})" for name in names[:5])
        raise LineError(
            f"has {len(names)} attributes that may be the label: {labels}; an image has one label. "
            f"Remove the others, or {_CURE}"
        )
    return _label_of(found, names[0])


def _may_be_label(found: Mapping[str, Any], name: str) -> bool:
    return (
        name not in (PATH_KEY, _TEXT_KEY)
        and not name.endswith(_METADATA)
        and found[name] is not None
    )


def _metadata(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    metadata = found.get(f"{name}{_METADATA}")
    return metadata if isinstance(metadata, dict) else {}


def _is_classification(found: Mapping[str, Any], name: str) -> bool:
    metadata = _metadata(found, name)
    return _CLASS_NAME in metadata or str(metadata.get(_TYPE, "")).startswith(_CLASSIFICATION)


def _label_of(found: Mapping[str, Any], name: str) -> str:
    """Return the name of the class that an attribute stands for, or its value as text."""
    value, metadata = found[name], _metadata(found, name)
    if _CLASS_NAME in metadata:
        return format_value(f"{name}{_METADATA}.{_CLASS_NAME}", metadata[_CLASS_NAME] or "")
    if isinstance(value, list):  # of a job that may choose several classes
        return _only_class(name, value, metadata.get(CLASS_MAP))
    if has_boxes(value):
        raise LineError(
            f"has boxes in {name!r}; set preprocess.catalogue_boxes: true, so that each box is an "
            f"image, write a manifest of images with one label, or {_CURE}"
        )
    return format_value(name, value)


def _only_class(name: str, numbers: list[Any], class_map: Any) -> str:
    if not numbers:
        return ""
    if len(numbers) > 1:
        raise LineError(f"has {len(numbers)} classes in {name!r}; an image has one label")
    number = format_value(name, numbers[0])
    if isinstance(class_map, dict) and number in class_map:
        return format_value(f"{CLASS_MAP} of {name}", class_map[number])
    return number


def open_manifest(url: str, root: str, titles: ColumnTitles) -> tuple[LineTable, KnownColumns]:
    """Open a manifest.

    Args:
        titles: the attribute that is the label; None: the only one.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is no such file, or none of its first lines has the attribute.
    """
    attribute = titles.label
    attributes: dict[str, None] = {}
    has_lines = has_labels = False
    for found in sample_objects(url):
        has_lines = True
        names = [name for name in found if _may_be_label(found, name)]
        attributes.update(dict.fromkeys(names))
        has_labels = has_labels or (bool(names) if attribute is None else attribute in names)
    if not has_lines:
        raise InputError(f"{url}: names no images")
    if attribute is not None and titles.requires_label and not has_labels:
        raise InputError(
            f"{url}: has no attribute {attribute}; it has {', '.join(attributes) or 'none'}. "
            "Correct preprocess.label_column"
        )
    columns = (schema.PATH, schema.LABEL) if has_labels else (schema.PATH,)
    table = LineTable(url, root, table_size(url), ManifestLine(columns, attribute, titles.boxes))
    return table, KnownColumns(dict(enumerate(columns)), [])
