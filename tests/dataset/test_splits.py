from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone.dataset import splits

SEEDS = st.integers(0, 2**31 - 1)


def test_the_split_of_a_path_never_changes() -> None:
    names = [splits.split_by_hash(f"cat/{n}.jpg", 7, 0.2, 0.2) for n in range(10)]
    assert names == [
        *("test", "test", "train", "validation", "train"),
        *("train", "train", "validation", "train", "train"),
    ]


def test_the_hash_of_a_path_never_changes() -> None:
    assert splits.hash_to_uint64("cat/0.jpg", 7, "order") == 6218959883030642455
    assert splits.hash_to_uint64("cat/0.jpg", 7, "split") == 3336966069701168959


@given(st.text(), SEEDS)
def test_other_purposes_and_seeds_give_other_hashes(text: str, seed: int) -> None:
    assert splits.hash_to_uint64(text, seed, "order") != splits.hash_to_uint64(text, seed, "split")
    assert splits.hash_to_uint64(text, seed, "order") != splits.hash_to_uint64(
        text, seed + 1, "order"
    )


@given(st.text(), SEEDS)
def test_a_fraction_is_in_its_range(text: str, seed: int) -> None:
    assert 0.0 <= splits.hash_to_fraction(text, seed, "split") < 1.0


@given(st.integers(0, 10_000), SEEDS.filter(lambda seed: seed < 100))
def test_a_larger_validation_fraction_changes_no_image_of_test(number: int, seed: int) -> None:
    before = splits.split_by_hash(str(number), seed, 0.1, 0.3)
    after = splits.split_by_hash(str(number), seed, 0.2, 0.3)
    assert (before == "test") == (after == "test")
    assert before != "validation" or after == "validation"


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_fractions_are_those_of_the_settings(seed: int) -> None:
    names = [splits.split_by_hash(f"{n}", seed, 0.2, 0.1) for n in range(20_000)]
    # Four standard deviations of a binomial are 0.011 and 0.008.
    assert names.count("validation") / 20_000 == pytest.approx(0.2, abs=0.0113)
    assert names.count("test") / 20_000 == pytest.approx(0.1, abs=0.0085)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("val", "validation"),
        ("VALID", "validation"),
        ("dev", "validation"),
        ("test", "test"),
        ("testing", "test"),
        ("holdout", None),
        ("", None),
    ],
)
def test_split_names_of_data_sets_are_parsed(name: str, split: str | None) -> None:
    assert splits.parse_split_name(name) == split


def test_the_pattern_may_match_anywhere_in_the_path() -> None:
    assert splits.capture_from_path(re.compile(r"([^/]+)\.jpg$"), "faces/00017.jpg") == "00017"
    assert splits.capture_from_path(re.compile(r"([^/]+)\.jpg$"), "faces/00017.png") is None


def test_the_split_of_a_path_in_a_class_with_a_salt_never_changes() -> None:
    names = [splits.split_by_salt(f"cat/{n}.jpg", 7, 19, 0.2, 0.2) for n in range(10, 20)]
    assert names == [
        *("train", "validation", "train", "test", "train"),
        *("test", "train", "test", "validation", "test"),
    ]


@given(
    st.lists(st.text(max_size=9), max_size=20),
    SEEDS,
    st.sampled_from([range(16), range(16, 64)]),
    st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
)
def test_splits_are_counted_as_they_are_drawn(
    paths: list[str], seed: int, salts: range, fractions: tuple[float, float]
) -> None:
    drawn = [[splits.split_by_salt(p, seed, salt, *fractions) for p in paths] for salt in salts]
    counts = splits.count_by_salt(paths, seed, salts, *fractions)
    assert counts.tolist() == [[d.count("validation"), d.count("test")] for d in drawn]


def test_each_salt_has_the_fractions_of_the_settings_and_its_own_splits() -> None:
    paths = [f"{n}" for n in range(4000)]
    counts = splits.count_by_salt(paths, 0, range(32), 0.2, 0.1)
    # Five standard deviations of a binomial are 126 and 95.
    assert (abs(counts - [800, 400]) < [126, 95]).all()
    drawn = [
        [splits.split_by_salt(path, 0, salt, 0.2, 0.1) for path in paths] for salt in (0, 1, 16)
    ]
    # Independent ones agree in 0.7 * 0.7 + 0.2 * 0.2 + 0.1 * 0.1 = 0.54 of the paths.
    for one, other in ((0, 1), (0, 2), (1, 2)):
        same = sum(map(str.__eq__, drawn[one], drawn[other]))
        assert same / 4000 == pytest.approx(0.54, abs=0.04)


@pytest.mark.parametrize("folds", [2, 5])
def test_folds_have_equal_sizes(folds: int) -> None:
    held_out = [
        [splits.split_by_fold(str(n), 7, fold, folds) for fold in range(folds)].index("validation")
        for n in range(10_000)
    ]
    for fold in range(folds):
        # Four standard deviations of a binomial at 10,000 are below 0.02.
        assert held_out.count(fold) / 10_000 == pytest.approx(1 / folds, abs=0.02)


def test_a_group_is_validation_in_one_fold_only() -> None:
    split_by_fold = [splits.split_by_fold("pair-17", 7, fold, 5) for fold in range(5)]
    assert sorted(split_by_fold) == ["train"] * 4 + ["validation"]
