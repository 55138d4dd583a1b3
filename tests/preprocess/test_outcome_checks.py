from __future__ import annotations

from collections import Counter

import pytest

from halftone.config import PreprocessSettings
from halftone.errors import InputError, RunError
from halftone.preprocess.outcome_checks import (
    check_classes,
    check_dropped,
    check_rejects,
    check_sum,
    count_rows,
)
from halftone.preprocess.side_tables import FirstReject, SideTable

COUNTS = {"train": {"cat": 1, "dog": 1}, "validation": {}, "test": {"cat": 1, "dog": 0}}


def rejects(**by_reason: int) -> SideTable:
    first = FirstReject("/i/bad", next(iter(by_reason)), "ends early")
    return SideTable(["r"], sum(by_reason.values()), Counter(by_reason), first)


def test_a_missing_input_is_an_error() -> None:
    assert count_rows(COUNTS) == 3
    check_sum("/i", 6, COUNTS, 2, 1)
    with pytest.raises(RunError) as caught:
        check_sum("/i", 7, COUNTS, 2, 1)
    assert str(caught.value) == (
        "/i: 7 inputs, but 3 rows + 2 rejects + 1 duplicates = 6; nothing was published. Remove "
        "the dataset's _staging folder and run again"
    )


def test_more_rejects_than_allowed_are_an_error() -> None:
    check_rejects("/i", 3, rejects(truncated=1), 1 / 3)
    with pytest.raises(InputError) as caught:
        check_rejects("/i", 3, rejects(truncated=1), 0.3)
    assert str(caught.value) == (
        "/i: 1 of 3 images are rejected (33.3%: 1 truncated), preprocess.max_reject_fraction is "
        "0.3; nothing was published. The first: /i/bad: truncated, ends early. truncated: copy "
        "the files again from their source. Or raise preprocess.max_reject_fraction"
    )


def test_each_reason_of_a_rejection_has_its_cure() -> None:
    table = rejects(truncated=1, unlabelled=2, damaged=1, new_reason=1, too_large=1)
    with pytest.raises(InputError) as caught:
        check_rejects("/i", 8, table, 0.3)
    assert str(caught.value).split("truncated, ends early. ")[1] == (
        "unlabelled: correct preprocess.label_from or the labels in the table; truncated, "
        "damaged: copy the files again from their source; new_reason: repair the images; "
        "too_large: raise pixels.max_pixels or pixels.max_scans. Or raise "
        "preprocess.max_reject_fraction"
    )


def test_near_duplicates_do_not_empty_a_split() -> None:
    settings = PreprocessSettings(near_duplicates="drop")
    dropped = Counter({"test": 2})
    lenient = settings.model_copy(update={"max_near_duplicate_fraction": 0.7})
    check_dropped("/i", COUNTS, dropped, 0.0, lenient)
    with pytest.raises(InputError) as caught:
        check_dropped("/i", COUNTS, dropped, 0.0, settings)
    assert str(caught.value) == (
        "/i: preprocess.near_duplicates: drop would remove 2 of 3 test rows (66.7%), "
        "preprocess.max_near_duplicate_fraction is 0.2; nothing was published. Look at them with "
        "preprocess.near_duplicates: report. If they show one scene, keep it in one split with "
        "splits.group_by. Or raise the limit"
    )
    with pytest.raises(InputError) as caught:
        check_dropped("/i", COUNTS, dropped, 1.0, settings)
    assert str(caught.value).endswith(
        "nothing was published. The perceptual hash does not tell these images apart, so near "
        "duplicates may be none: 100.0% of random pairs of rows with different labels are within "
        "preprocess.near_distance 4; 0.1% is the limit. So, set preprocess.near_duplicates: "
        "report, or a smaller preprocess.near_distance. Or raise the limit"
    )


@pytest.mark.parametrize(
    ("num_inputs", "test_rows", "message"),
    [
        (1, 0, "1 of 1 images are left, and the train split has 1 class (cat)"),
        (2, 1, "2 of 2 images are left, and the train split has 1 class (cat)"),
    ],
)
def test_fewer_than_two_classes_in_train_are_an_error(
    num_inputs: int, test_rows: int, message: str
) -> None:
    check_classes("/i", 3, COUNTS)
    counts = {"train": {"cat": 1, "dog": 0}, "test": {"cat": 0, "dog": test_rows}}
    with pytest.raises(InputError) as caught:
        check_classes("/i", num_inputs, counts)
    assert str(caught.value) == (
        f"/i: {message}; training needs 2 or more. Add images, or change the fractions of the "
        "splits"
    )
