from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone import arrow
from halftone.arrow import arrays, columns


def test_text_and_bytes_are_equal_to_arrays_of_pyarrow() -> None:
    blobs = [b"", b"abc", b"\x00\xff"]
    texts = ["", "é猫", "x"]
    assert arrow.binary_array(blobs).equals(pa.array(blobs, pa.binary()))
    assert arrow.string_array(texts).equals(pa.array(texts, pa.string()))


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.int64(), pa.float64()])
def test_numbers_are_equal_to_arrays_of_pyarrow(kind: pa.DataType) -> None:
    assert arrow.number_array([1, -2, 3], kind).equals(pa.array([1, -2, 3], kind))


def test_empty_arrays() -> None:
    assert arrow.binary_array([]).equals(pa.array([], pa.binary()))
    assert arrow.string_array([]).equals(pa.array([], pa.string()))
    assert arrow.chunked_string_array([]).equals(pa.chunked_array([], pa.string()))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "é"], pa.string()),
        ([b"a", b""], pa.binary()),
        ([1.5, 2.5], pa.float64()),
        ([1, 2], pa.int32()),
    ],
)
def test_make_array_of_each_type(values: list[object], kind: pa.DataType) -> None:
    assert arrow.make_array(values, kind).equals(pa.array(values, kind))


def test_long_columns_are_processed_in_slices_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (arrays, columns):
        monkeypatch.setattr(module, "SLICE_ROWS", 2)
    column = arrow.chunked_string_array(str(number) for number in range(5))
    assert [len(chunk) for chunk in column.chunks] == [2, 2, 1]
    assert column.to_pylist() == ["0", "1", "2", "3", "4"]
    table = pa.table({"text": column, "number": pa.array(range(5))})
    assert [part.num_rows for part in arrow.iter_slices(table)] == [2, 2, 1]
    assert list(arrow.iter_rows(table, "number", "text")) == [(n, str(n)) for n in range(5)]
    assert list(arrow.iter_rows(table.slice(0, 0), "text")) == []


def test_a_column_of_2_gib_is_an_error() -> None:
    half = bytes(2**30)
    with pytest.raises(
        ValueError, match="2147483648 bytes in one binary array; the limit is 2 GiB"
    ):
        arrow.binary_array([half, half])


@pytest.fixture
def gibibyte() -> pa.Array:
    """1,024 equal values of 1 MiB, in pages of zeros that take no memory."""
    data = pa.py_buffer(np.zeros(2**30, np.uint8))
    offsets = pa.py_buffer((np.arange(1025) * 2**20).astype(np.int32))
    return pa.Array.from_buffers(pa.binary(), 1024, [None, offsets, data])


def test_rows_of_a_column_of_3_gib_are_taken(gibibyte: pa.Array) -> None:
    column = pa.chunked_array([gibibyte, gibibyte, arrow.binary_array([b"last"]), gibibyte])
    with pytest.raises(pa.ArrowInvalid, match="offset overflow"):
        pa.compute.take(column, pa.array([0]))
    taken = arrow.take_rows(pa.table({"data": column}), [2048, 3072, 0, 2048])["data"]
    assert [len(value.as_buffer()) for value in taken] == [4, 2**20, 2**20, 4]
    assert arrow.is_in(taken, arrow.binary_array([b"last"])).tolist() == [True, False, False, True]


def test_a_value_that_repeated_has_2_gib_is_an_error(gibibyte: pa.Array) -> None:
    with pytest.raises(ValueError, match="2147483648 bytes in one binary array"):
        arrow.repeat_value(gibibyte.slice(0, 1), 2048)


def test_offsets_that_have_wrapped_around_are_an_error() -> None:
    offsets = (np.arange(6) * 2**30).astype(np.int32)  # what pyarrow makes of 5 GiB
    data = pa.py_buffer(np.zeros(2**30, np.uint8))
    column = pa.Array.from_buffers(pa.binary(), 5, [None, pa.py_buffer(offsets), data])
    with pytest.raises(ValueError, match="the offsets of a binary array decrease"):
        arrow.view_images(column, (2**15, 2**15, 1))


def test_an_image_of_another_size_is_an_error() -> None:
    column = arrow.binary_array([bytes(6), bytes(5), bytes(1)])
    with pytest.raises(ValueError, match=r"image 1 has 5 bytes; its shape is \(2, 3, 1\)"):
        arrow.view_images(column, (2, 3, 1))


@pytest.mark.parametrize("values", [[1, 128], np.array([1.0, 128.0]), np.array([-1, 128])])
def test_a_number_out_of_range_is_an_error(values: Any) -> None:
    with pytest.raises(ValueError, match=r"128(\.0)? is not of type int8"):
        arrow.number_array(values, pa.int8())


def test_a_value_is_repeated() -> None:
    column = arrow.repeat_value(arrow.string_array(["x"]), 3)
    assert column.equals(pa.array(["x", "x", "x"]))
    assert arrow.repeat_value(arrow.number_array([7], pa.int8()), 0).equals(pa.array([], pa.int8()))


def test_columns_are_concatenated() -> None:
    first, second = arrow.chunked_string_array(["a", "b"]), arrow.chunked_string_array(["c"])
    assert arrow.concat_columns(first, second.slice(0, 0), second).to_pylist() == ["a", "b", "c"]
    assert arrow.concat_columns(first.slice(0, 0)).equals(pa.chunked_array([], pa.string()))


CUTS = st.lists(st.integers(0, 3), max_size=4)


def cut(values: list[object], kind: pa.DataType, cuts: list[int]) -> pa.ChunkedArray:
    """A column in chunks, each of them a slice of a longer array."""
    chunks, remaining = [], values
    for size in [*cuts, len(values)]:
        chunks.append(pa.array([*values[:1], *remaining[:size]], kind).slice(len(values[:1])))
        remaining = remaining[size:]
    return pa.chunked_array(chunks, kind)


@given(st.lists(st.integers(-4, 4), max_size=8), st.lists(st.integers(-4, 4), max_size=8), CUTS)
def test_chunks_and_slices_do_not_change_values(
    values: list[int], others: list[int], cuts: list
) -> None:
    column, other_column = cut(values, pa.int64(), cuts), cut(others, pa.int64(), cuts)
    assert arrow.to_numpy(column).tolist() == values
    assert arrow.is_in(column, other_column).tolist() == [value in others for value in values]
    assert arrow.index_in(column, other_column).tolist() == [
        others.index(value) if value in others else -1 for value in values
    ]
    codes = arrow.dictionary_codes(column).tolist()
    assert codes == [list(dict.fromkeys(values)).index(value) for value in values]


TEXTS = st.lists(st.sampled_from(["", "a", "bb", "ccc", "é猫"]), max_size=8)


@given(TEXTS, TEXTS, CUTS, st.lists(st.integers(0, 7), max_size=12), st.integers(5, 12))
def test_a_column_that_is_too_large_for_one_array_gives_the_same_results(
    values: list[str], others: list[str], cuts: list, numbers: list[int], limit: int
) -> None:
    column, other_column = cut(values, pa.string(), cuts), cut(others, pa.string(), cuts)
    rows = [number for number in numbers if number < len(values)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "MAX_ARRAY_BYTES", limit)
        table = arrow.take_rows(pa.table({"text": column, "n": pa.array(range(len(values)))}), rows)
        assert table["text"].to_pylist() == [values[row] for row in rows]
        assert table["n"].to_pylist() == rows
        for chunk in table["text"].chunks:
            assert len("".join(chunk.to_pylist()).encode()) <= limit
        assert table["text"].type == pa.string()
        assert arrow.is_in(column, other_column).tolist() == [value in others for value in values]
        assert arrow.index_in(column, other_column).tolist() == [
            others.index(value) if value in others else -1 for value in values
        ]
        codes = arrow.dictionary_codes(column).tolist()
        assert codes == [list(dict.fromkeys(values)).index(value) for value in values]
        is_wide = sum(len(value.encode()) for value in values) > limit
        assert arrow.widen(column).type == (pa.large_string() if is_wide else pa.string())


def test_a_table_gets_the_types_of_a_schema() -> None:
    old = pa.table({"more": [1], "digest": pa.array([b"ab"], pa.binary(2)), "n": [7]})
    schema = pa.schema([pa.field("n", pa.int64()), pa.field("digest", pa.binary(), nullable=False)])
    assert arrow.conform(old, schema) == pa.table({"n": [7], "digest": [b"ab"]}, schema=schema)


def test_rows_are_selected_by_number_and_by_mask() -> None:
    table = pa.table({"n": [10, 11, 12], "text": ["a", "b", "c"]})
    assert arrow.take_rows(table, [2, 0, 2])["text"].to_pylist() == ["c", "a", "c"]
    mask = np.array([True, False, True])
    assert arrow.filter_rows(table, mask).to_pydict() == {"n": [10, 12], "text": ["a", "c"]}
    assert arrow.filter_rows(table, ~mask | mask) is table
    assert arrow.filter_rows(table, mask & ~mask).num_rows == 0


DECODE = """
import sys
import pyarrow as pa
from halftone import arrow
from halftone.arrow import arrays, columns
from halftone.config import PixelSpec
from halftone.preprocess import decode_block, entries
assert "pandas" not in sys.modules, "imported by the modules"
entry = [
    arrow.string_array(["k"]),
    arrow.string_array(["p"]),
    arrow.string_array(["l"]),
    arrow.number_array([0], pa.int8()),
    arrow.number_array([1], pa.int64()),
    arrow.number_array([1.0], pa.float64()),
    arrow.number_array([0], pa.int64()),
    arrow.string_array([""]),
    arrow.string_array([""]),
    arrow.string_array([""]),
]
listed = pa.table(entry, schema=entries.ENTRIES)
pixels = PixelSpec(height_px=8, width_px=8, channels=1)
staged = [decode_block._decode_image(b"no image", 8, pixels)]
hashes = decode_block._hash_pixels(staged, pixels)
part = decode_block._build_part(["k"], listed, staged, hashes)
assert part.num_rows == 1
assert arrow.filter_rows(part, ~decode_block.is_decoded(part)).num_rows == 1
assert decode_block.select_decoded(part).num_rows == 0
assert "pandas" not in sys.modules, "imported by decoding"
"""


def test_decoding_in_a_worker_imports_no_pandas() -> None:
    subprocess.run([sys.executable, "-c", DECODE], check=True, timeout=60)


def test_runs_are_consecutive_rows_with_one_value() -> None:
    rows = pa.table({"file": pa.array([3, 3, 1, 3], pa.int32()), "row": [0, 1, 2, 3]})
    runs = [(value, run["row"].to_pylist()) for value, run in arrow.iter_runs(rows, "file")]
    assert runs == [(3, [0, 1]), (1, [2]), (3, [3])]
    assert list(arrow.iter_runs(rows.slice(0, 0), "file")) == []
