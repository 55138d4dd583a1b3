from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone import arrow


def test_columns_are_those_that_pyarrow_makes() -> None:
    blobs = [b"", b"abc", b"\x00\xff"]
    texts = ["", "é猫", "x"]
    assert arrow.binary_array(blobs).equals(pa.array(blobs, pa.binary()))
    assert arrow.string_array(texts).equals(pa.array(texts, pa.string()))
    digests = [bytes([n]) * 16 for n in range(3)]
    assert arrow.fixed_binary_array(digests, 16).equals(pa.array(digests, pa.binary(16)))


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.int64(), pa.float64()])
def test_numbers(kind: pa.DataType) -> None:
    assert arrow.number_array([1, -2, 3], kind).equals(pa.array([1, -2, 3], kind))


def test_empty_columns() -> None:
    assert arrow.binary_array([]).equals(pa.array([], pa.binary()))
    assert arrow.string_array([]).equals(pa.array([], pa.string()))
    assert arrow.chunked_string_array([]).equals(pa.chunked_array([], pa.string()))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "é"], pa.string()),
        ([b"a", b""], pa.binary()),
        ([b"ab", b"cd"], pa.binary(2)),
        ([1.5, 2.5], pa.float64()),
        ([1, 2], pa.int32()),
    ],
)
def test_a_column_of_any_type(values: list[object], kind: pa.DataType) -> None:
    assert arrow.make_array(values, kind).equals(pa.array(values, kind))


def test_many_texts_come_in_slices_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "_SLICE_ROWS", 2)
    found = arrow.chunked_string_array(str(number) for number in range(5))
    assert [len(chunk) for chunk in found.chunks] == [2, 2, 1]
    assert found.to_pylist() == ["0", "1", "2", "3", "4"]
    table = pa.table({"text": found, "number": pa.array(range(5))})
    assert [part.num_rows for part in arrow.iter_slices(table)] == [2, 2, 1]
    assert list(arrow.iter_rows(table, "number", "text")) == [(n, str(n)) for n in range(5)]
    assert list(arrow.iter_rows(table.slice(0, 0), "text")) == []


def test_one_value_many_times() -> None:
    found = arrow.repeat_value(arrow.string_array(["x"]), 3)
    assert found.equals(pa.array(["x", "x", "x"]))
    assert arrow.repeat_value(arrow.number_array([7], pa.int8()), 0).equals(pa.array([], pa.int8()))


def test_columns_behind_one_another() -> None:
    first, second = arrow.chunked_string_array(["a", "b"]), arrow.chunked_string_array(["c"])
    assert arrow.concat_columns(first, second.slice(0, 0), second).to_pylist() == ["a", "b", "c"]
    assert arrow.concat_columns(first.slice(0, 0)).equals(pa.chunked_array([], pa.string()))


CUTS = st.lists(st.integers(0, 3), max_size=4)


def cut(values: list[object], kind: pa.DataType, cuts: list[int]) -> pa.ChunkedArray:
    """A column in chunks, each of them a slice of something longer."""
    chunks, rest = [], values
    for size in [*cuts, len(values)]:
        chunks.append(pa.array([*values[:1], *rest[:size]], kind).slice(len(values[:1])))
        rest = rest[size:]
    return pa.chunked_array(chunks, kind)


@given(st.lists(st.integers(-4, 4), max_size=8), st.lists(st.integers(-4, 4), max_size=8), CUTS)
def test_chunks_and_slices_change_no_value(ours: list[int], others: list[int], cuts: list) -> None:
    column, among = cut(ours, pa.int64(), cuts), cut(others, pa.int64(), cuts)
    assert arrow.to_numpy(column).tolist() == ours
    assert arrow.is_in(column, among).tolist() == [value in others for value in ours]
    assert arrow.index_in(column, among).tolist() == [
        others.index(value) if value in others else -1 for value in ours
    ]
    codes = arrow.dictionary_codes(column).tolist()
    assert codes == [list(dict.fromkeys(ours)).index(value) for value in ours]


def test_digests_have_codes_too() -> None:
    digests = pa.chunked_array([pa.array([b"aa", b"bb"], pa.binary(2))] * 2)
    assert arrow.dictionary_codes(digests).tolist() == [0, 1, 0, 1]


def test_rows_by_number_and_by_mask() -> None:
    table = pa.table({"n": [10, 11, 12], "text": ["a", "b", "c"]})
    assert arrow.take_rows(table, [2, 0, 2])["text"].to_pylist() == ["c", "a", "c"]
    mask = np.array([True, False, True])
    assert arrow.filter_rows(table, mask).to_pydict() == {"n": [10, 12], "text": ["a", "c"]}
    assert arrow.filter_rows(table, ~mask | mask) is table
    assert arrow.filter_rows(table, mask & ~mask).num_rows == 0


STAGE = """
import sys
import pyarrow as pa
from halftone import arrow
from halftone.config import PixelSpec
from halftone.preprocess import catalogue, decode_block
entries = pa.Table.from_batches([], catalogue.ENTRIES)
assert "pandas" not in sys.modules, "imported with the module"
part = decode_block._build_part(["k"], pa.table([arrow.string_array(["p"]), arrow.string_array(["l"]),
    arrow.number_array([0], pa.int8()), arrow.number_array([1], pa.int64()),
    arrow.number_array([1.0], pa.float64())], schema=catalogue.ENTRIES),
    [decode_block._decode_image(b"no image", 8, PixelSpec(height_px=8, width_px=8, channels=1))])
assert part.num_rows == 1
assert "pandas" not in sys.modules, "imported by the work"
"""


def test_a_worker_that_decodes_imports_no_pandas() -> None:
    subprocess.run([sys.executable, "-c", STAGE], check=True, timeout=60)


PLAN = """
import sys
from halftone import arrow
from halftone.config import Config
from halftone.preprocess import catalogue, changes, previous_version
from halftone.preprocess.changes import LISTED_IMAGES
found = catalogue.build_catalogue(sys.argv[1], Config())
listed = arrow.take_rows(found.entries, [0, 1])
assert listed.num_rows == 2
known = previous_version.known_images(previous_version.EMPTY)
now = [found.keys(), *(found.entries[name] for name in LISTED_IMAGES.names[1:])]
import pyarrow as pa
delta = changes.find_changes(pa.table(now, schema=LISTED_IMAGES), known, found.unusable_keys())
assert len(delta.read) == 2, delta
assert arrow.dictionary_codes(delta.read).tolist() == [0, 1]
assert "pandas" not in sys.modules, "imported by the plan"
"""


def test_a_driver_that_plans_imports_no_pandas(tmp_path: Path) -> None:
    for label in ("a", "b"):
        folder = tmp_path / label
        folder.mkdir()
        (folder / "1.jpg").write_bytes(b"x")
    subprocess.run([sys.executable, "-c", PLAN, str(tmp_path)], check=True, timeout=60)
