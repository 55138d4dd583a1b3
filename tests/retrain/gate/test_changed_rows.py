"""Rows on which one of two models is right, found in this process and by real Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone import arrow, images, storage
from halftone.config import PixelSpec
from halftone.dataset.shard_files import ShardFile
from halftone.errors import RunError
from halftone.retrain.gate import changed_rows
from halftone.retrain.gate.changed_rows import LOST, WON, ChangedRow
from halftone.scoring import predictions
from halftone.scoring.predict import PredictorSettings

LABELS = ["cat", "dog", "fox"]


def write(folder: Path, name: str, *files: list[tuple[str, str, str, float]]) -> list[str]:
    """Write predictions of rows (key, label, prediction, its probability), a file for each list."""
    urls = []
    for number, rows in enumerate(files):
        shares = np.full((len(rows), 3), 0.0, np.float32)
        for row, (_, _, prediction, probability) in enumerate(rows):
            shares[row, :] = (1 - probability) / 2
            shares[row, LABELS.index(prediction)] = probability
        table = predictions.prediction_table(
            PredictorSettings("", "v1", tuple(LABELS), (1, 1, 1), 1, 1),
            arrow.string_array([row[0] for row in rows]),
            arrow.string_array([row[1] for row in rows]),
            shares,
            "f00",
        )
        urls.append(str(folder / name / f"{number}.parquet"))
        storage.write_table(urls[-1], table)
    return urls


def find(session: Any, champion: list[str], challenger: list[str]) -> Any:
    return changed_rows.find_changed_rows(session, LABELS, champion, challenger)


@pytest.mark.parametrize("with_spark", [False, True])
def test_rows_that_changed_sides(
    tmp_path: Path, with_spark: bool, request: pytest.FixtureRequest
) -> None:
    session = request.getfixturevalue("spark") if with_spark else None
    champion = write(
        tmp_path,
        "champion",
        [("a", "cat", "cat", 0.75), ("b", "cat", "dog", 0.5), ("c", "dog", "fox", 0.875)],
        [("d", "fox", "fox", 0.5), ("e", "fox", "fox", 0.5), ("f", "dog", "cat", 0.5)],
    )
    challenger = write(
        tmp_path,
        "challenger",
        [("a", "cat", "dog", 0.625), ("b", "cat", "cat", 0.5), ("c", "dog", "dog", 0.5)],
        [("d", "fox", "cat", 0.875), ("e", "fox", "fox", 0.75), ("f", "dog", "fox", 0.5)],
    )
    assert find(session, champion, challenger) == {
        LOST: (
            2,
            [
                ChangedRow(LOST, "d", "fox", "fox", "cat", 0.5, 0.875, 1, 0),
                ChangedRow(LOST, "a", "cat", "cat", "dog", 0.75, 0.625, 0, 0),
            ],
        ),
        WON: (
            2,
            [
                ChangedRow(WON, "c", "dog", "fox", "dog", 0.875, 0.5, 0, 2),
                ChangedRow(WON, "b", "cat", "dog", "cat", 0.5, 0.5, 0, 1),
            ],
        ),
    }


def test_of_many_rows_the_most_confident_mistakes_are_kept(tmp_path: Path) -> None:
    def rows(prediction: str, shard: int) -> list[tuple[str, str, str, float]]:
        return [(f"{shard}-{n:02d}", "cat", prediction, 0.5 + (n + shard) / 256) for n in range(40)]

    champion = write(tmp_path, "champion", rows("cat", 0), rows("cat", 1))
    challenger = write(tmp_path, "challenger", rows("dog", 0), rows("dog", 1))
    changed = find(None, champion, challenger)
    assert (changed[LOST].num_rows, changed[WON].num_rows, changed[WON].shown) == (80, 0, [])
    # Rows n of shard 1 and n + 1 of shard 0 have the same probability; keys decide.
    order = ["1-39", *(key for n in range(39, 27, -1) for key in (f"0-{n:02d}", f"1-{n - 1:02d}"))]
    assert [row.key for row in changed[LOST].shown] == order[:24]


def test_scores_of_different_rows_are_refused(tmp_path: Path) -> None:
    champion = write(tmp_path, "champion", [("a", "cat", "cat", 0.5)])
    challenger = write(tmp_path, "challenger", [("b", "cat", "cat", 0.5)])
    with pytest.raises(RunError, match="contain different rows; remove both folders of scores"):
        find(None, champion, challenger)


outcomes = st.lists(st.tuples(*[st.sampled_from(LABELS)] * 3), min_size=1, max_size=40)


@settings(max_examples=30)
@given(outcomes, st.integers(1, 3))
def test_every_row_is_right_or_wrong_on_each_side_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], num_files: int
) -> None:
    folder = tmp_path_factory.mktemp("scores")
    parts = [part.tolist() for part in np.array_split(np.arange(len(rows)), num_files)]
    files = [
        write(folder, name, *([(str(n), rows[n][0], rows[n][side], 0.5) for n in p] for p in parts))
        for side, name in ((1, "champion"), (2, "challenger"))
    ]
    changed = find(None, *files)
    lost = [str(n) for n, (label, one, two) in enumerate(rows) if one == label != two]
    won = [str(n) for n, (label, one, two) in enumerate(rows) if one != label == two]
    assert (changed[LOST].num_rows, changed[WON].num_rows) == (len(lost), len(won))
    assert [row.key for row in changed[LOST].shown] == sorted(lost)[:24]
    assert [row.key for row in changed[WON].shown] == sorted(won)[:24]


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_pictures_are_those_of_the_rows(tmp_path: Path, encoding: Any) -> None:
    spec = PixelSpec(height_px=4, width_px=3, channels=3, encoding=encoding)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 5, 4, 3, 3), np.uint8)
    shards = []
    for number in range(2):
        data = [images.encode_pixels(image, spec) for image in pixels[number]]
        path = f"test/{number}.parquet"
        storage.write_table(str(tmp_path / path), pa.table({"image": pa.array(data, pa.binary())}))
        shards.append(ShardFile(path, "test", 5, 1, ""))
    rows = [
        ChangedRow(side, f"{shard}/{row}", "cat", "cat", "dog", 0.5, 0.5, shard, row)
        for side, shard, row in ((LOST, 1, 4), (WON, 0, 2), (WON, 1, 0))
    ]
    found = changed_rows.read_pictures(None, str(tmp_path), shards, spec, rows)
    assert list(found) == ["1/4", "0/2", "1/0"]
    for key, (shard, row) in {"1/4": (1, 4), "0/2": (0, 2), "1/0": (1, 0)}.items():
        np.testing.assert_array_equal(found[key], pixels[shard, row])
    assert changed_rows.read_pictures(None, str(tmp_path), shards, spec, []) == {}
