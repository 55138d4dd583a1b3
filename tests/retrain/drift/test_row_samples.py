from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from halftone.retrain.drift import row_samples
from halftone.retrain.drift.row_samples import MAX_ROWS, RowSample, limit_samples


def sample(number: int, rows: int) -> RowSample:
    return RowSample(f"shard-{number:05d}", list(range(rows)))


def test_few_rows_are_all_used() -> None:
    samples = [sample(0, 3), sample(1, 0), sample(2, 2)]
    assert limit_samples(samples) == [sample(0, 3), sample(2, 2)]
    assert limit_samples([]) == []


def test_shards_with_few_rows_leave_more_to_others() -> None:
    assert limit_samples([sample(0, 5000), sample(1, 100), sample(2, 5000)]) == [
        sample(0, 950),
        sample(1, 100),
        sample(2, 950),
    ]


def test_of_many_shards_some_are_used_from_beginning_to_end() -> None:
    limited = limit_samples([sample(number, 500) for number in range(1000)])
    assert len(limited) == 64
    assert [limited[place].url for place in (0, 1, 63)] == [
        "shard-00000",
        "shard-00015",
        "shard-00984",
    ]
    assert sum(len(each.rows) for each in limited) == 2000


@given(st.lists(st.integers(0, 3000), max_size=150))
def test_a_sample_has_as_many_rows_as_it_may(sizes: list[int]) -> None:
    samples = [sample(number, size) for number, size in enumerate(sizes)]
    limited = limit_samples(samples)
    num_rows = sum(len(each.rows) for each in limited)
    assert len(limited) <= 64
    assert num_rows <= MAX_ROWS
    if sum(size > 0 for size in sizes) <= 64:
        assert num_rows == min(MAX_ROWS, sum(sizes))
    by_url = {each.url: each.rows for each in samples}
    assert all(each.rows == by_url[each.url][: len(each.rows)] for each in limited)


def test_rows_that_a_shard_contributes_at_most() -> None:
    assert row_samples.max_rows_per_shard(1) == 2000
    assert row_samples.max_rows_per_shard(64) == 2000
    assert row_samples.max_rows_per_shard(128) == 1000
    assert row_samples.max_rows_per_shard(1_000_000) == 1
