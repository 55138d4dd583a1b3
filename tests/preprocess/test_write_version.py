"""The sizes of shards; test_run.py tests the files of a version."""

from __future__ import annotations

from typing import Callable

import pytest

from halftone import arrow
from halftone.config import Config
from halftone.dataset import schema
from halftone.dataset.splits import SPLITS
from halftone.errors import InputError
from halftone.preprocess.outcome import PreprocessOutcome
from halftone.preprocess.write_version import _shard_sizes

MakeConfig = Callable[..., Config]


def outcome(num_rows: int) -> PreprocessOutcome:
    """An outcome of `num_rows` new rows in each split."""
    return PreprocessOutcome(
        selections=[],
        labels=["cat"],
        counts={split: {"cat": num_rows} for split in SPLITS},
        rejects=arrow.empty_table(schema.REJECTS),
        duplicates=arrow.empty_table(schema.DUPLICATES),
        near_duplicates=arrow.empty_table(schema.NEAR_DUPLICATES),
        possible_label_errors=0,
        chance_near_fraction=None,
    )


def sizes(config: MakeConfig, num_rows: int, rows_per_shard: object) -> dict[str, int]:
    pixels = {"height_px": 8192, "width_px": 8192, "channels": 3}
    settings = config(pixels=pixels, preprocess={"rows_per_shard": rows_per_shard})
    return _shard_sizes(settings, outcome(num_rows))


def test_shards_that_fit_into_one_column(config: MakeConfig) -> None:
    assert sizes(config, 100, "auto") == dict.fromkeys(SPLITS, 1)
    assert sizes(config, 100, 10) == dict.fromkeys(SPLITS, 10)
    assert sizes(config, 10, 11) == dict.fromkeys(SPLITS, 11)  # no shard has 11 rows


def test_a_shard_of_2_gib_is_an_error(config: MakeConfig) -> None:
    with pytest.raises(InputError) as caught:
        sizes(config, 100, 11)
    assert str(caught.value) == (
        "preprocess.rows_per_shard 11: a shard of 11 rows of 201326592 bytes is 2 GiB or more; use "
        "at most 10, or auto"
    )
