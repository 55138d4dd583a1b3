"""JSON Lines: a JSON object in each line, whose keys are the columns."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from halftone.dataset import schema
from halftone.errors import InputError
from halftone.listing.boxes import BOX_COLUMNS
from halftone.listing.line_table import (
    SAMPLE_LINES,
    LineError,
    LineTable,
    read_sample,
    table_size,
)
from halftone.listing.listed_rows import EMPTY_TEXTS
from halftone.listing.table_columns import (
    PLAIN_TITLES,
    ColumnTitles,
    KnownColumns,
    clean_name,
    find_columns,
    find_value_columns,
)
from halftone.listing.table_paths import NO_BASE, PathBase
from halftone.listing.text_lines import line_error

_NUMBERS = (schema.SIZE_BYTES, schema.MODIFIED)
_SHOWN_CHARACTERS = 60


class JsonLine(NamedTuple):
    """The format of a line: an object with some of the keys of the first lines."""

    columns: tuple[str, ...]
    keys: Mapping[str, int]  # the number of the column, by the key as it is written
    meanings: frozenset[str]  # cleaned keys that a column could have

    def parse(self, text: str) -> list[list[str]]:
        cells = [EMPTY_TEXTS.get(name, "") for name in self.columns]
        seen = set()
        for key, value in parse_object(text).items():
            number = self.keys.get(key)
            if number is None:
                if clean_name(key) in self.meanings:
                    number = self._find_column(key)
                else:
                    continue
            if number in seen:
                raise LineError(
                    f"has {self.columns[number]} twice (spaces and case do not matter in keys)"
                )
            seen.add(number)
            if value is not None:
                cells[number] = _format_cell(self.columns[number], key, value)
        path_number = self.columns.index(schema.PATH)
        if not cells[path_number]:
            title = next(key for key, number in self.keys.items() if number == path_number)
            raise LineError(f"has no {title}")
        return [cells]

    def _find_column(self, key: str) -> int:
        """Return the number of the column of a key that is written otherwise in other lines."""
        for known, number in self.keys.items():
            if clean_name(known) == clean_name(key):
                return number
        raise LineError(
            f"has the key {key!r}, which none of the first {SAMPLE_LINES:,} lines has; write a "
            "line with all keys first"
        )


def _format_cell(name: str, key: str, value: Any) -> str:
    text = format_value(key, value)
    if name == schema.PATH and not isinstance(value, str):
        raise LineError(f"has {key!r}: {_show(value)}; a path must be text")
    if name in _NUMBERS and text:
        try:
            float(text)
        except ValueError:
            raise LineError(f"has {key!r}: {_show(value)}; it must be a number") from None
    return text or EMPTY_TEXTS.get(name, "")


def format_value(key: str, value: Any) -> str:
    """Return a value as text; whole numbers have no decimals, as the label 7.0.

    Raises:
        LineError: it is a list or an object, or a number without a value.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise LineError(f"has {key!r}: {value}; it must be a text or a number")
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, int):
        return str(value)
    raise LineError(f"has {key!r}: {_show(value)}; it must be a text or a number")


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def parse_object(text: str) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        LineError: it is none, or has a key twice.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise LineError(
            f"is not JSON: {error.msg} (column {error.colno}); write one JSON object a line"
        ) from None
    except RecursionError:
        raise LineError("is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits
        raise LineError(f"is not JSON that can be read: {error}") from None
    if not isinstance(value, dict):
        raise LineError(f"is {_show(value)}; write one JSON object a line")
    return value


def _unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise LineError(f"has the key {repeated!r} twice; remove one")
    return found


def sample_objects(url: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of the first lines.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: a line is no JSON object.
    """
    for line in read_sample(url):
        try:
            yield parse_object(line.text)
        except LineError as error:
            raise line_error(url, line.start, str(error)) from None


def sample_keys(url: str) -> list[str]:
    """Return the keys of the first lines, each once for all ways in which it is written."""
    keys: dict[str, str] = {}
    for found in sample_objects(url):
        for key in found:
            keys.setdefault(clean_name(key), key)
    if not keys:
        raise InputError(f"{url}: names no images")
    return list(keys.values())


def open_json_lines(
    url: str, root: str, titles: ColumnTitles = PLAIN_TITLES, base: PathBase = NO_BASE
) -> tuple[LineTable, KnownColumns]:
    """Open a file of JSON Lines, and find the columns by the keys of its first lines.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is no such file, or as `find_columns`.
    """
    keys = sample_keys(url)
    known = find_columns(url, keys, titles)
    meanings = {*titles.known()}
    if known.names >= BOX_COLUMNS:
        meanings |= BOX_COLUMNS
    return _open_table(url, root, keys, known.by_index, frozenset(meanings), base), known


def open_json_values(
    url: str, root: str, wanted: Sequence[str], path_title: str, base: PathBase
) -> LineTable:
    """Open a file of JSON Lines for the values of other keys, see `find_value_columns`.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is no such file, or as `find_value_columns`.
    """
    keys = sample_keys(url)
    by_index = find_value_columns(url, keys, wanted, path_title)
    meanings = frozenset(map(clean_name, [path_title, *wanted]))
    return _open_table(url, root, keys, by_index, meanings, base)


def _open_table(
    url: str,
    root: str,
    keys: Sequence[str],
    by_index: Mapping[int, str],
    meanings: frozenset[str],
    base: PathBase,
) -> LineTable:
    columns = tuple(by_index.values())
    numbers = {keys[index]: number for number, index in enumerate(by_index)}
    return LineTable(url, root, table_size(url), JsonLine(columns, numbers, meanings), base)
