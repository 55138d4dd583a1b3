"""The outcome of every input, from staged parts and the previous version; no files, no Spark."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from halftone import arrow
from halftone.config import PreprocessSettings
from halftone.dataset import schema
from halftone.dataset.shard_files import ShardFile
from halftone.errors import InputError, RunError
from halftone.preprocess import decode_block, outcome, previous_version
from halftone.preprocess.catalogue import Catalogue, UnusableImage
from halftone.preprocess.duplicates import Candidates, Resolution
from halftone.preprocess.outcome import PreprocessOutcome, RowSelection
from halftone.preprocess.previous_version import EMPTY_VERSION, PreviousVersion
from tables import digest, table

PART = pa.schema([field for field in decode_block.PART if field.name != "image"])
ROWS = pa.schema([field for field in schema.ROWS if field.name not in ("label_id", "image")])
TRAIN, VALIDATION, TEST = range(3)


def catalogue_with(*unusable: UnusableImage) -> Catalogue:
    return Catalogue("/i", arrow.empty_table(PART), list(unusable), {})


def image(
    key: str, label: str = "cat", split: int = TRAIN, status: str = "ok", detail: str = "", bits=0
) -> tuple[Any, ...]:
    """A staged image; `bits` is its perceptual hash."""
    return (key, label, split, status, detail, 8, 8, 100, 1.5, digest(key), bits)


def row(key: str, label: str = "cat") -> tuple[Any, ...]:
    """A row of the previous version."""
    return (key, label, 8, 8, 100, 1.5, digest(key), 0)


def shard(url: str, split: str, *rows: tuple[Any, ...]) -> tuple[str, ShardFile, pa.Table]:
    file = ShardFile(path=url, split=split, rows=len(rows), size_bytes=1, digest="")
    return url, file, previous_version.add_row_numbers(table(ROWS, *rows))


def resolve(
    parts: dict[str, pa.Table],
    before: PreviousVersion = EMPTY_VERSION,
    resolutions: dict[str, Resolution] | None = None,
    unusable: tuple[UnusableImage, ...] = (),
    labels: tuple[str, ...] = (),
    num_inputs: int | None = None,
    drop_empty_labels: bool = False,
    **settings: Any,
) -> PreprocessOutcome:
    if num_inputs is None:
        new = sum(part.num_rows for part in parts.values())
        num_inputs = before.inputs + new + len(unusable)
    candidates = Candidates(before, list(labels), list(parts.items()))
    config = PreprocessSettings(
        **{"max_reject_fraction": 1.0, "near_duplicates": "off", **settings}
    )
    return outcome.resolve_duplicates(
        catalogue_with(*unusable),
        candidates,
        resolutions or {},
        num_inputs,
        config,
        drop_empty_labels=drop_empty_labels,
    )


def selected(result: PreprocessOutcome) -> list[tuple[str, str, list[int], bool]]:
    return [
        (url, split, rows.tolist(), bool(whole)) for url, split, rows, whole in result.selections
    ]


BOTH = (image("/i/cat"), image("/i/dog", "dog"))


def test_rows_are_known_by_part_split_and_number() -> None:
    first = table(PART, *BOTH, image("/i/val", "dog", VALIDATION), image("/i/late"))
    second = table(PART, image("/i/x", "dog", TEST, "empty", "0 bytes"), image("/i/t", split=TEST))
    result = resolve({"/p0": first, "/p1": second})
    assert selected(result) == [
        ("/p0", "train", [0, 1, 3], False),
        ("/p0", "validation", [2], False),
        ("/p1", "test", [1], False),
    ]
    assert result.selections[0].row_numbers.dtype == np.int64
    assert result.labels == ["cat", "dog"]
    assert result.counts == {
        "train": {"cat": 2, "dog": 1},
        "validation": {"cat": 0, "dog": 1},
        "test": {"cat": 1, "dog": 0},
    }
    assert (result.rows, result.inputs) == (5, 6)
    assert result.rejects.to_pylist() == [
        {
            "path": "/i/x",
            "reason": "empty",
            "detail": "0 bytes",
            "size_bytes": 100,
            "modified": 1.5,
        }
    ]
    assert (result.duplicates.schema, result.duplicates.num_rows) == (schema.DUPLICATES, 0)
    assert (result.near_duplicates.schema, result.near_duplicates.num_rows) == (
        schema.NEAR_DUPLICATES,
        0,
    )


def test_existing_shards_come_first_and_are_unchanged_only_if_no_row_is_lost() -> None:
    before = PreviousVersion(
        [
            shard("/s0", "train", row("/i/a"), row("/i/b", "dog")),
            shard("/s1", "train", row("/i/c"), row("/i/d"), row("/i/e")),
        ],
        EMPTY_VERSION.rejects,
        EMPTY_VERSION.duplicates,
    )
    retained = previous_version.exclude_images(before, arrow.chunked_string_array(["/i/c"]))
    resolutions = {"/i/e": Resolution("conflict", "two labels")}
    result = resolve(
        {"/p": table(PART, image("/i/new", "ant"))}, retained, resolutions, labels=("cat", "dog")
    )
    assert selected(result) == [
        ("/s0", "train", [0, 1], True),
        ("/s1", "train", [1], False),
        ("/p", "train", [0], False),
    ]
    assert result.selections[0] == RowSelection(
        "/s0", "train", result.selections[0].row_numbers, before.shards[0][1]
    )
    assert result.labels == [
        "cat",
        "dog",
        "ant",
    ]  # the labels of the previous version keep their indices
    assert result.counts["train"] == {"cat": 2, "dog": 1, "ant": 1}
    [reject] = result.rejects.to_pylist()
    assert (reject["path"], reject["reason"], reject["detail"]) == (
        "/i/e",
        "conflict",
        "two labels",
    )


def test_resolved_images_become_duplicates_and_no_rows() -> None:
    resolutions = {
        "/i/c": Resolution("duplicate", "/i/cat"),
        "/i/b": Resolution("duplicate", "/i/cat"),
    }
    part = table(PART, *BOTH, image("/i/c"), image("/i/b", "dog"))
    result = resolve({"/p": part}, resolutions=resolutions)
    assert selected(result) == [("/p", "train", [0, 1], False)]
    assert result.duplicates == table(
        schema.DUPLICATES,
        ("/i/b", "/i/cat", 100, 1.5, "dog", digest("/i/b")),
        ("/i/c", "/i/cat", 100, 1.5, "cat", digest("/i/c")),
    )


def test_an_old_duplicate_stays_unless_it_has_a_new_resolution() -> None:
    duplicates = [
        ("/i/x", "/i/cat", 7, 2.5, "cat", digest("x")),
        ("/i/y", "/i/cat", 7, 2.5, "cat", digest("y")),
    ]
    before = PreviousVersion([], EMPTY_VERSION.rejects, table(schema.DUPLICATES, *duplicates))
    resolutions = {"/i/y": Resolution("conflict", "why")}
    result = resolve({"/p": table(PART, *BOTH)}, before, resolutions)
    assert result.duplicates == table(schema.DUPLICATES, duplicates[0])
    assert result.rejects == table(schema.REJECTS, ("/i/y", "conflict", "why", 7, 2.5))


def test_rejects_are_sorted_by_path_and_counted_by_reason() -> None:
    before = PreviousVersion(
        [], table(schema.REJECTS, ("/i/m", "empty", "", 0, 1.0)), EMPTY_VERSION.duplicates
    )
    unusable = (UnusableImage("z", "unlabelled", "no label", 9, 3.0),)
    bad = [image(f"/i/{name}", status="damaged", detail="bad") for name in "qa"]
    result = resolve({"/p": table(PART, *bad, *BOTH)}, before, unusable=unusable)
    assert [tuple(reject.values()) for reject in result.rejects.to_pylist()] == [
        ("/i/a", "damaged", "bad", 100, 1.5),
        ("/i/m", "empty", "", 0, 1.0),
        ("/i/q", "damaged", "bad", 100, 1.5),
        ("/i/z", "unlabelled", "no label", 9, 3.0),
    ]
    assert list(result.rejects_by_reason().items()) == [
        ("damaged", 2),
        ("empty", 1),
        ("unlabelled", 1),
    ]


@pytest.mark.parametrize(
    ("mode", "near", "rows", "duplicates"),
    [("off", 0, 4, []), ("report", 1, 4, []), ("drop", 1, 3, ["/i/near"])],
)
def test_near_duplicates(mode: str, near: int, rows: int, duplicates: list[str]) -> None:
    part = table(
        PART,
        image("/i/cat", bits=0b1111),
        image("/i/dog", "dog", bits=-1),
        image("/i/near", split=TEST, bits=0b0111),
        image("/i/far", split=TEST, bits=0xFFFF0000),
    )
    result = resolve(
        {"/p": part},
        near_duplicates=mode,
        near_distance=1,
        max_near_duplicate_fraction=0.5,
    )
    assert (result.near_duplicates.num_rows, result.rows) == (near, rows)
    if near:
        expected = ("/i/near", "test", "cat", "/i/cat", "train", "cat", 1)
        assert result.near_duplicates == table(schema.NEAR_DUPLICATES, expected)
    assert result.duplicates["path"].to_pylist() == duplicates
    assert result.duplicates["kept_path"].to_pylist() == ["/i/cat"] * len(duplicates)


@pytest.mark.parametrize(
    ("empty", "labels", "is_unchanged"),
    [("zebra", ["cat", "dog"], True), ("ant", ["cat", "dog"], False)],
)
def test_labels_without_rows_are_dropped_and_shards_are_kept_if_no_label_id_changes(
    empty: str, labels: list[str], is_unchanged: bool
) -> None:
    before = PreviousVersion(
        [shard("/s", "train", row("/i/a"), row("/i/b", "dog"))],
        EMPTY_VERSION.rejects,
        EMPTY_VERSION.duplicates,
    )
    old_labels = tuple(sorted(["cat", "dog", empty]))
    kept = resolve({}, before, labels=old_labels)
    assert (kept.labels, selected(kept)) == (list(old_labels), [("/s", "train", [0, 1], True)])
    dropped = resolve({}, before, labels=old_labels, drop_empty_labels=True)
    assert dropped.labels == labels
    assert selected(dropped) == [("/s", "train", [0, 1], is_unchanged)]
    assert dropped.counts["train"] == {"cat": 1, "dog": 1}


def test_a_near_duplicate_of_another_label_is_kept_as_a_possible_label_error() -> None:
    part = table(
        PART,
        image("/i/cat", bits=0b1111),
        image("/i/dog", "dog", bits=0b1111),
        image("/i/cat2", split=TEST, bits=0b0111),  # as near to /i/cat as to /i/dog
        image("/i/owl", "owl", TEST, bits=0b1111),
    )
    settings = {"near_duplicates": "drop", "max_near_duplicate_fraction": 0.5}
    result = resolve({"/p": part}, **settings)
    assert result.near_duplicates == table(
        schema.NEAR_DUPLICATES,
        ("/i/cat2", "test", "cat", "/i/cat", "train", "cat", 1),
        ("/i/owl", "test", "owl", "/i/cat", "train", "cat", 0),
    )
    assert result.duplicates["path"].to_pylist() == ["/i/cat2"]
    assert (result.possible_label_errors, result.counts["test"]["owl"]) == (1, 1)


def test_near_duplicates_do_not_empty_a_split() -> None:
    hashes = {"/i/cat": 0, "/i/dog": -1}
    train = [image(key, key[3:], bits=bits) for key, bits in hashes.items()]
    test = [image(f"/i/t{n}", split=TEST, bits=1 << n) for n in range(2)]
    parts = {"/p": table(PART, *train, *test, image("/i/far", split=TEST, bits=0xFFFF0000))}
    assert resolve(parts, near_duplicates="drop", max_near_duplicate_fraction=0.7).rows == 3
    with pytest.raises(InputError) as caught:
        resolve(parts, near_duplicates="drop")
    assert str(caught.value) == (
        "/i: preprocess.near_duplicates: drop would remove 2 of 3 test rows (66.7%), "
        "preprocess.max_near_duplicate_fraction is 0.2; nothing was published. Look at them with "
        "preprocess.near_duplicates: report. If they show one scene, keep it in one split with "
        "splits.group_by. Or raise the limit"
    )
    alike = [image("/i/a"), image("/i/b", "dog"), image("/i/c", split=TEST)]
    with pytest.raises(InputError) as caught:
        resolve({"/p": table(PART, *alike)}, near_duplicates="drop")
    assert str(caught.value).endswith(
        "nothing was published. The perceptual hash does not tell these images apart, so near "
        "duplicates may be none: 100.0% of random pairs of rows with different labels are within "
        "preprocess.near_distance 4; 0.1% is the limit. So, set preprocess.near_duplicates: "
        "report, or a smaller preprocess.near_distance. Or raise the limit"
    )


def test_a_missing_input_is_an_error() -> None:
    with pytest.raises(RunError) as caught:
        resolve({"/p": table(PART, *BOTH)}, num_inputs=3)
    assert str(caught.value) == (
        "/i: 3 inputs, but 2 rows + 0 rejects + 0 duplicates = 2; nothing was published. Remove "
        "the dataset's _staging folder and run again"
    )


BAD = image("/i/bad", status="truncated", detail="ends early")


def test_more_rejects_than_allowed_are_an_error() -> None:
    parts = {"/p": table(PART, *BOTH, BAD)}
    assert resolve(parts, max_reject_fraction=1 / 3).rejects.num_rows == 1
    with pytest.raises(InputError) as caught:
        resolve(parts, max_reject_fraction=0.3)
    assert str(caught.value) == (
        "/i: 1 of 3 images are rejected (33.3%: 1 truncated), preprocess.max_reject_fraction is "
        "0.3; nothing was published. The first: /i/bad: truncated, ends early. truncated: copy "
        "the files again from their source. Or raise preprocess.max_reject_fraction"
    )


def test_each_reason_of_a_rejection_has_its_cure() -> None:
    reasons = ("truncated", "unlabelled", "damaged", "unlabelled", "new reason", "too_large")
    bad = [image(f"/i/{n}", status=reason) for n, reason in enumerate(reasons)]
    with pytest.raises(InputError) as caught:
        resolve({"/p": table(PART, *BOTH, *bad)}, max_reject_fraction=0.3)
    assert str(caught.value).split("truncated, . ")[1] == (
        "unlabelled: correct preprocess.label_from or the labels in the table; truncated, "
        "damaged: copy the files again from their source; new reason: repair the images; "
        "too_large: raise pixels.max_pixels or pixels.max_scans. Or raise "
        "preprocess.max_reject_fraction"
    )


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ((), "1 of 1 images are left, and the train split has 1 class (cat)"),
        ((image("/i/t", "dog", TEST),), "2 of 2 images are left, and the train split has 1 class"),
    ],
)
def test_fewer_than_two_classes_in_train_are_an_error(
    others: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        resolve({"/p": table(PART, image("/i/cat"), *others)})
    assert str(caught.value).startswith(f"/i: {message}")
    assert str(caught.value).endswith(
        "training needs 2 or more. Add images, or change the fractions of the splits"
    )
