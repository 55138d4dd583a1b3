from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone import storage
from halftone.retrain.drift.known_rows import (
    IDENTITIES,
    REMOVED,
    ROWS,
    find_known,
    read_identities,
)

Identity = tuple[str, bytes, int, int]


def known(tables: list[list[Identity]]) -> list[tuple[Any, ...]]:
    parts = (pa.table([*map(list, zip(*rows))], schema=IDENTITIES) for rows in tables)
    (found,) = find_known(parts)
    assert found.schema == ROWS
    return [tuple(row.values()) for row in found.to_pylist()]


def test_rows_of_a_shard_have_their_number(tmp_path: Path) -> None:
    url = str(tmp_path / "shard.parquet")
    columns = {"key": ["a", "b"], "source_digest": [b"1", b"2"], "label": ["x", "y"]}
    storage.write_table(url, pa.table(columns))
    (table,) = read_identities(url, 7)
    assert table.schema == IDENTITIES
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("a", b"1", 7, 0),
        ("b", b"2", 7, 1),
    ]


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ([], []),
        ([[("a", b"1", 0, 0)]], []),  # new
        ([[("a", b"1", REMOVED, 0)]], []),  # removed
        ([[("a", b"1", 3, 5), ("a", b"1", REMOVED, 0)]], [("", 3, 5)]),
        ([[("a", b"1", 3, 5)], [("a", b"1", REMOVED, 0)]], [("", 3, 5)]),
        ([[("a", b"1", 3, 5), ("a", b"2", REMOVED, 0)]], []),  # the file has changed
        ([[("a", b"1", 3, 5), ("b", b"1", REMOVED, 0)]], []),  # another file
    ],
)
def test_rows_that_were_there_before(
    tables: list[list[Identity]], expected: list[tuple[Any, ...]]
) -> None:
    assert known(tables) == expected


DIGESTS = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([b"1", b"2"]))


@given(DIGESTS, DIGESTS)
def test_rows_are_known_if_key_and_digest_are(
    before: dict[str, bytes], now: dict[str, bytes]
) -> None:
    removed = [(key, digest, REMOVED, 0) for key, digest in before.items()]
    current = [(key, digest, 1, row) for row, (key, digest) in enumerate(now.items())]
    rows = {row for row, (key, digest) in enumerate(now.items()) if before.get(key) == digest}
    found = known([rows for rows in (removed, current) if rows])
    assert sorted(found) == [("", 1, row) for row in sorted(rows)]
