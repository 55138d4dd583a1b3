"""Listed and known images of one key, compared by the SQL that Spark runs."""

from __future__ import annotations

from itertools import product
from typing import Optional

import pytest
from pyspark.sql import SparkSession

from halftone.preprocess import comparison
from halftone.preprocess.comparison import Effect

# By name: size, time of modification, label, split and reason.
LISTED = {
    "same": ("1", "10D", "'cat'", "0Y", "''"),
    "later": ("1", "11D", "'cat'", "0Y", "''"),
    "larger": ("2", "10D", "'cat'", "0Y", "''"),
    "no size": ("-1", "0D", "'cat'", "0Y", "''"),
    "dog": ("1", "10D", "'dog'", "0Y", "''"),
    "test": ("1", "10D", "'cat'", "2Y", "''"),
    "unusable": ("1", "10D", "''", "0Y", "'unreadable'"),
    "gone": ("NULL",) * 5,
}
KNOWN = {
    "row": ("'row'", "'cat'", "0Y"),
    "duplicate": ("'duplicate'", "'cat'", "-1Y"),
    "truncated": ("'truncated'", "''", "-1Y"),
    "conflict": ("'conflict'", "''", "-1Y"),
    "unlabelled": ("'unlabelled'", "''", "-1Y"),
    "unknown": ("NULL",) * 3,
}
NAMES = ("size_bytes", "modified", "label", "split", "reason")
# By status: the changes of LISTED in their order.
EXPECTED: dict[str, list[Optional[str]]] = {
    "row": [
        None,
        "read again",
        "read again",
        None,
        "relabelled",
        "moved to split",
        "no longer usable",
        "gone row",
    ],
    "duplicate": [
        "listed duplicate",
        "read again",
        "read again",
        "listed duplicate",
        "read again",
        "listed duplicate",
        "no longer usable",
        "gone duplicate",
    ],
    "truncated": [
        None,
        "read again",
        "read again",
        None,
        None,
        None,
        "rejected again",
        "gone reject",
    ],
    "conflict": [
        "listed conflict",
        "conflict read again",
        "conflict read again",
        "listed conflict",
        "listed conflict",
        "listed conflict",
        "rejected again",
        "gone conflict",
    ],
    "unlabelled": [*["read again"] * 6, "rejected again", "gone reject"],
    "unknown": [*["new"] * 6, "rejected"],
}
RETRY: dict[str, list[Optional[str]]] = {
    "row": [*[None] * 6, "no longer usable", "gone row"],
    "duplicate": [*["listed duplicate"] * 6, "no longer usable", "gone duplicate"],
    "truncated": [*["read again"] * 6, "rejected again", "gone reject"],
    "conflict": [*["conflict read again"] * 6, "rejected again", "gone conflict"],
    "unlabelled": [*["read again"] * 6, "rejected again", "gone reject"],
    "unknown": [*[None] * 6, "rejected"],
}


def prune(changes: list[Optional[str]]) -> list[Optional[str]]:
    return ["removed" if change and "gone" in change else change for change in changes]


def read_moved(changes: list[Optional[str]]) -> list[Optional[str]]:
    moved = ("relabelled", "moved to split")
    return ["read again" if change in moved else change for change in changes]


def test_a_listed_and_a_known_image_are_compared(spark: SparkSession) -> None:
    pairs = [pair for pair in product(KNOWN, LISTED) if pair != ("unknown", "gone")]
    values = (", ".join((*LISTED[now], *KNOWN[status])) for status, now in pairs)
    names = ", ".join((*NAMES, "status", "known_label", "known_split"))
    images = spark.sql(
        f"SELECT * FROM VALUES {', '.join(f'({row})' for row in values)} AS ({names})"
    )
    images = images.selectExpr(
        "*",
        "IF(status IS NULL, NULL, 1) AS known_size_bytes",
        "IF(status IS NULL, NULL, 10D) AS known_modified",
    )
    options = [
        {"retry_rejects": retry, "prune": pruned, "can_move": can_move}
        for retry, pruned, can_move in product((False, True), (False, True), (True, False))
    ]
    rows = images.selectExpr(*(comparison.compare_sql(**flags) for flags in options)).collect()
    for flags, found in zip(options, zip(*rows)):
        for status in KNOWN:
            expected = (RETRY if flags["retry_rejects"] else EXPECTED)[status]
            if flags["prune"] and not flags["retry_rejects"]:
                expected = prune(expected)
            if not flags["can_move"]:
                expected = read_moved(expected)
            assert [
                change for (name, _), change in zip(pairs, found) if name == status
            ] == expected, (flags, status)


READ = Effect(is_work=True, note="dropped", is_removed=True)


@pytest.mark.parametrize(
    ("change", "effect"),
    [
        ("new", Effect(True, "", False)),
        ("read again", READ),
        ("conflict read again", READ),
        ("rejected", Effect(True, "", False)),
        ("rejected again", Effect(True, "dropped", False)),
        ("no longer usable", READ),
        ("relabelled", Effect(False, "moved", False)),
        ("moved to split", Effect(False, "moved", False)),
        ("removed", Effect(False, "dropped", True)),
        ("gone row", Effect(False, "gone", False)),
        ("gone reject", Effect(False, "gone", False)),
        ("gone duplicate", Effect(False, "gone", False)),
        ("retained duplicate", Effect(False, "gone", False)),
        ("gone conflict", Effect(False, "gone", False)),
        ("listed duplicate", Effect(False, "", False)),
        ("listed conflict", Effect(False, "", False)),
    ],
)
def test_what_follows_from_a_change(change: str, effect: Effect) -> None:
    effects = comparison.find_effects(duplicates_decided=False, conflicts_read_again=False)
    assert effects[change] == effect


def test_duplicates_and_conflicts_depend_on_all_images() -> None:
    alone = comparison.find_effects(duplicates_decided=False, conflicts_read_again=False)
    together = comparison.find_effects(duplicates_decided=True, conflicts_read_again=True)
    assert {change: effect for change, effect in together.items() if effect != alone[change]} == {
        "gone duplicate": Effect(),  # its effect is that of the change that was decided
        "listed conflict": READ,
        "gone conflict": Effect(False, "dropped", True),
    }
