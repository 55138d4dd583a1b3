from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest

from halftone import columns


def test_columns_are_those_that_pyarrow_makes() -> None:
    blobs = [b"", b"abc", b"\x00\xff"]
    texts = ["", "é猫", "x"]
    assert columns.of_bytes(blobs).equals(pa.array(blobs, pa.binary()))
    assert columns.of_text(texts).equals(pa.array(texts, pa.string()))
    digests = [bytes([n]) * 16 for n in range(3)]
    assert columns.of_digests(digests, 16).equals(pa.array(digests, pa.binary(16)))


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.int64(), pa.float64()])
def test_numbers(kind: pa.DataType) -> None:
    assert columns.of_numbers([1, -2, 3], kind).equals(pa.array([1, -2, 3], kind))


def test_empty_columns() -> None:
    assert columns.of_bytes([]).equals(pa.array([], pa.binary()))
    assert columns.of_text([]).equals(pa.array([], pa.string()))


STAGE = """
import sys
from halftone import ingest
from halftone.images import PixelSpec
import pyarrow as pa
from halftone import catalogue, columns
entries = pa.Table.from_batches([], catalogue.ENTRIES)
assert "pandas" not in sys.modules, "imported with the module"
part = ingest._part(["k"], pa.table([columns.of_text(["p"]), columns.of_text(["l"]),
    columns.of_numbers([0], pa.int8()), columns.of_numbers([1], pa.int64()),
    columns.of_numbers([1.0], pa.float64())], schema=catalogue.ENTRIES),
    [ingest._staged(b"no image", 8, PixelSpec(8, 8, 1))])
assert part.num_rows == 1
assert "pandas" not in sys.modules, "imported by the work"
"""


def test_a_worker_that_decodes_imports_no_pandas() -> None:
    subprocess.run([sys.executable, "-c", STAGE], check=True, timeout=60)
