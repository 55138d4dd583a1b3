"""Labels that differ only by case, spaces or Unicode form."""

from __future__ import annotations

import unicodedata

import pytest

from halftone.preprocess import label_variants

NFC, NFD = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["cat", "dog", "cats", "c-at"], []),
        (["cat", "Cat", "dog", "CAT"], [["CAT", "Cat", "cat"]]),
        (["cat ", "cat", "big cat", "bigcat"], [["big cat", "bigcat"], ["cat", "cat "]]),
        (["a\u00a0b", "a b"], [["a b", "a\u00a0b"]]),
        ([NFC, NFD], [[NFD, NFC]]),
        (["Straße", "strasse"], [["Straße", "strasse"]]),
        (["\uff11", "1"], [["1", "\uff11"]]),
    ],
)
def test_variants_are_grouped(labels: list[str], expected: list[list[str]]) -> None:
    assert label_variants.find_label_variants(labels) == expected


def test_a_note_shows_what_cannot_be_seen() -> None:
    assert label_variants.describe_label_variants([NFC, NFD, "dog"]) == [
        r"the labels 'cafe\u0301', 'caf\xe9' differ only by case, spaces or Unicode form; they are "
        "different classes"
    ]
