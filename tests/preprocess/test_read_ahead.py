"""Chunks of images, and digests of whole ones."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from halftone.preprocess.read_ahead import _Image, chunk_bounds, digest_whole_files


@given(st.lists(st.integers(-1, 6 * 2**20), max_size=200))
def test_chunks_contain_every_file_once_and_are_bounded(sizes: list[int]) -> None:
    chunks = list(chunk_bounds([_Image("k", size, "", "") for size in sizes]))
    assert [n for first, last in chunks for n in range(first, last)] == list(range(len(sizes)))
    for first, last in chunks:
        assert 1 <= last - first <= 64
        assert last - first == 1 or sum(max(0, size) for size in sizes[first:last]) <= 4 * 2**20


def test_whole_files_are_digested_and_a_missing_file_matches_no_other(tmp_path: Path) -> None:
    for name, data in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(data)
    keys = [str(tmp_path / name) for name in ("a", "b", "c", "missing")]
    digests = digest_whole_files(dict.fromkeys(keys, 3))
    first, second, third, missing = (digests[key] for key in keys)
    assert first == second != third
    assert missing not in (first, third)
