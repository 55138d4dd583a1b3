"""A file of COCO: images, categories, and annotations that give images categories.

It is one JSON document, which only a reader of the whole can understand. One task reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from halftone import arrow, storage
from halftone.arrow.columns import SLICE_ROWS
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.listing.boxes import round_outward
from halftone.listing.line_table import table_size
from halftone.listing.listed_rows import fill_columns
from halftone.listing.remarks import UnitRemarks
from halftone.listing.table_columns import ColumnTitles, KnownColumns
from halftone.listing.table_paths import make_relative

# Parsed, it takes several times its size in memory.
MAX_BYTES = 512 * 2**20
_IMAGES, _ANNOTATIONS, _CATEGORIES = "images", "annotations", "categories"
_BOX = "bbox"  # of an annotation


class CocoTable(NamedTuple):
    url: str
    root: str  # the folder of images
    boxes: bool = False  # whether each annotation is an image of its own

    def plan_units(self) -> list[None]:
        """Return one unit."""
        return [None]

    def list_unit(self, remarks: UnitRemarks, unit: None) -> Iterator[pa.Table]:
        """Yield LISTED of all images.

        Raises:
            InputError: the file is no such document, or an image has several categories.
        """
        find = _find_boxes if self.boxes else _find_labels
        labels = find(self.url, _read_document(self.url))
        paths = list(labels)
        for start in range(0, len(paths), SLICE_ROWS):
            some = paths[start : start + SLICE_ROWS]
            columns = [arrow.string_array(some), arrow.string_array([labels[p] for p in some])]
            table = pa.table(columns, names=[schema.PATH, schema.LABEL])
            rows = fill_columns(self.url, table)
            yield make_relative(self.url, self.root, start, rows, remarks)


def open_coco(url: str, root: str, titles: ColumnTitles) -> tuple[CocoTable, KnownColumns]:
    """Open a file of COCO, which is read later.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is larger than MAX_BYTES.
    """
    size = table_size(url)
    if size > MAX_BYTES:
        raise InputError(
            f"{url}: has {size:,} bytes, and a JSON document, which is read as a whole, may have "
            f"{MAX_BYTES:,}; write its images as JSON Lines with path and label (.jsonl)"
        )
    return CocoTable(url, root, titles.boxes), KnownColumns({0: schema.PATH, 1: schema.LABEL}, [])


def _read_document(url: str) -> dict[str, Any]:
    try:
        document = json.loads(storage.read_bytes(url))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{url}: {place}: is not JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{url}: is not JSON that can be read: {error}") from None
    if isinstance(document, list):
        raise InputError(
            f"{url}: is a JSON list; write one object a line, without the brackets and commas "
            "between them (.jsonl)"
        )
    names = (_IMAGES, _ANNOTATIONS, _CATEGORIES)
    if not isinstance(document, dict) or not all(
        isinstance(document.get(name), list) for name in names
    ):
        keys = ", ".join(document) if isinstance(document, dict) else type(document).__name__
        raise InputError(
            f"{url}: is neither JSON Lines nor a file of COCO, which has lists of {_IMAGES}, "
            f"{_ANNOTATIONS} and {_CATEGORIES}; it has {keys}"
        )
    return document


def _find_labels(url: str, document: Mapping[str, Any]) -> dict[str, str]:
    """Return the label of each path; empty if the image has no annotation."""
    files = list(_read_ids(url, document, _IMAGES, "file_name").values())
    labels = dict.fromkeys(files, "")
    if len(labels) < len(files):
        repeated = next(path for path in files if files.count(path) > 1)
        raise InputError(f"{url}: {_IMAGES}: several have the file_name {repeated}")
    for place, _, path, label in _iter_annotations(url, document):
        if labels[path] not in ("", label):
            raise InputError(
                f"{place}: gives {path} the category {label}, and another annotation gives it "
                f"{labels[path]}; an image has one label. Remove the images of several "
                "categories, keep one annotation of each, or set preprocess.catalogue_boxes: true, "
                "so that each box is an image"
            )
        labels[path] = label
    return labels


def _find_boxes(url: str, document: Mapping[str, Any]) -> dict[str, str]:
    """Return the label of each path with a box."""
    labels: dict[str, str] = {}
    for place, annotation, path, label in _iter_annotations(url, document):
        box = annotation.get(_BOX)
        try:
            if not isinstance(box, list):
                raise TypeError
            x, y, width, height = map(float, box)
            key = f"{path}{round_outward(x, y, width, height).fragment()}"
        except (TypeError, ValueError):
            raise InputError(
                f"{place}: {_BOX} is {box!r}; it must be x, y, width and height in px"
            ) from None
        if labels.setdefault(key, label) != label:
            raise InputError(
                f"{place}: gives a box of {path} the category {label}, and another annotation "
                f"gives the same box {labels[key]}; remove one"
            )
    return labels


def _iter_annotations(
    url: str, document: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any], str, str]]:
    """Yield each annotation: its place for messages, itself, its path and its category."""
    names = _read_ids(url, document, _CATEGORIES, "name")
    if len(set(names.values())) < len(names):
        texts = list(names.values())
        repeated = next(text for text in texts if texts.count(text) > 1)
        raise InputError(f"{url}: {_CATEGORIES}: several have the name {repeated!r}; rename them")
    files = _read_ids(url, document, _IMAGES, "file_name")
    for number, annotation in enumerate(document[_ANNOTATIONS]):
        place = f"{url}: {_ANNOTATIONS}[{number}]"
        image, category = (_field(place, annotation, key) for key in ("image_id", "category_id"))
        if image not in files:
            raise InputError(f"{place}: image_id is {image!r}; none of the {_IMAGES} has that id")
        if category not in names:
            raise InputError(
                f"{place}: category_id is {category!r}; none of the {_CATEGORIES} has that id"
            )
        yield place, annotation, files[image], names[category]


def _read_ids(url: str, document: Mapping[str, Any], name: str, key: str) -> dict[Any, str]:
    """Return a text of each object of a list, by its id."""
    texts: dict[Any, str] = {}
    for number, found in enumerate(document[name]):
        place = f"{url}: {name}[{number}]"
        identifier, text = _field(place, found, "id"), _field(place, found, key)
        if not isinstance(text, str) or not text:
            raise InputError(f"{place}: {key} is {text!r}; it must be text")
        if identifier in texts:
            raise InputError(f"{place}: id is {identifier!r}, which another of the {name} has")
        texts[identifier] = text
    return texts


def _field(place: str, found: Any, key: str) -> Any:
    value = found.get(key) if isinstance(found, dict) else None
    if not isinstance(value, (str, int)):
        raise InputError(f"{place}: has no {key}")
    return value
