"""Labels that differ only in ways that a reader hardly sees."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def find_label_variants(labels: Iterable[str]) -> list[list[str]]:
    """Return groups of labels that differ only by case, spaces or Unicode form (NFC, NFD, ...).

    They are different classes, but hardly ever meant to be. Each group is sorted.
    """
    groups: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
        groups.setdefault("".join(plain.split()), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def describe_label_variants(labels: Iterable[str]) -> list[str]:
    """Return a note for each group of `find_label_variants`; other characters are escaped."""
    return [
        f"the labels {', '.join(map(ascii, group))} differ only by case, spaces or Unicode form; "
        "they are different classes"
        for group in find_label_variants(labels)
    ]
