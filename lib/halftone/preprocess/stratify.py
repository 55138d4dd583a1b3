"""Choose a salt for each class that is stratified, so that it has images in every wanted split.

With each salt a class has other splits. Workers count them for some hundred salts, and a class
takes the salt with which no wanted split is empty and the counts are nearest to the fractions. As
the manifest keeps the salt, an image keeps its split when more images arrive, and the fractions of
a class that grows stay those of the settings. Ranks of hashes would give exact counts and move
images whenever others arrive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import groupby
from typing import Callable, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.config import Config, SplitSettings
from halftone.dataset import schema, splits
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError
from halftone.preprocess.assignment import AssignmentSummary
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, create_url_frame, expand_rows, group_rows, map_tables
from halftone.spark.local_frame import are_few

_NUM_SALTS = 256  # that are compared
# A class may need more: the number is doubled until no wanted split is empty, and the counts of a
# class of few images are the nearest that are possible, up to this one. Of more images, the counts
# are near enough: with fractions of 0.1, one salt of 56 gives 100 images exactly 10 and 10.
MAX_SALTS = 2**16
_FEW_IMAGES = 100
# A worker holds so many hashes of 4 bytes, and a partition so many counts of 4 bytes.
_MAX_HASHES, _MAX_COUNTS = 2**20, 2**23
_PROGRESS = ActionProgress("list", "stratify the classes that a hash leaves without a split")

_COUNTS = pa.schema(
    [
        pa.field(schema.LABEL, pa.string()),
        pa.field("num_images", pa.int64()),
        pa.field("counts", pa.binary()),  # int32, see splits.count_by_salt
    ]
)
_CHOICES = pa.schema(
    [
        pa.field(schema.LABEL, pa.string()),
        pa.field("missing", pa.int64()),  # see rank_counts, as for distance
        pa.field("distance", pa.float64()),
        pa.field("salt", pa.int64()),
        pa.field("is_best", pa.bool_()),  # no other salt is worth a search
    ]
)


class Fractions(NamedTuple):
    """The settings that give an image its split, besides its path and salt."""

    seed: int
    validation: float
    test: float

    @classmethod
    def from_config(cls, config: Config) -> Fractions:
        return cls(config.seed, config.splits.validation_fraction, config.splits.test_fraction)

    @property
    def wanted(self) -> tuple[bool, bool, bool]:
        """Whether there is a train, a validation and a test split."""
        return True, self.validation > 0, self.test > 0

    def least_missing(self, num_images: int) -> int:
        """Return the least `missing` of rank_counts that a class of this size can have."""
        _, has_validation, has_test = self.wanted
        # With one image train alone is filled, with two test too, if it is wanted.
        empty_test = has_test and num_images < 2
        empty_validation = has_validation and num_images < 2 + has_test
        return 2 * empty_test + empty_validation


def rank_counts(
    num_images: int, counts: npt.NDArray[np.int64], fractions: Fractions
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return how good splits of a class are, the less the better.

    Args:
        num_images: in the class.
        counts: int64 of shape (n, 2): numbers of validation and test images.

    Returns:
        `missing`, int64 of shape (n,): 4 for an empty train split, 2 for an empty test split that
            is wanted and 1 for validation. So a class of too few images for all has train images
            first, then test images: one that no model can learn, or none can be tested on, is of
            less use than one without validation images.
        `distance`, float64 of shape (n,): the squared differences from the fractions.
    """
    by_split = np.stack([num_images - counts.sum(axis=1), counts[:, 0], counts[:, 1]], axis=1)
    is_missing = (by_split == 0) & np.array(fractions.wanted)
    missing = is_missing @ np.array([4, 1, 2])
    held_out = np.array([fractions.validation, fractions.test])
    expected = num_images * np.array([1 - held_out.sum(), *held_out])
    return missing.astype(np.int64), ((by_split - expected) ** 2).sum(axis=1)


def find_classes(
    root: str, summary: AssignmentSummary, settings: SplitSettings, known: Collection[str] = ()
) -> list[str]:
    """Return the classes that are stratified, sorted: those that get a salt.

    Args:
        root: the folder of images, for messages.
        known: classes that keep the splits that they have.

    Raises:
        InputError: all classes should be stratified, and a table has the splits or groups.
    """
    if not settings.can_stratify or settings.stratify == "never":
        return []
    for column, count in (
        (schema.SPLIT, summary.num_split_cells),
        ("group", summary.num_group_cells),
    ):
        if count and settings.stratify == "always":
            raise InputError(
                f"{root}: splits.stratify is always, and the column {column} of "
                f"preprocess.catalogue has values for {count:,} images: only images that are drawn "
                "by themselves can be stratified; set splits.stratify: auto, or remove the column"
            )
        if count:
            return []
    # The seed has no part in what follows.
    fractions = Fractions(0, settings.validation_fraction, settings.test_fraction)
    if not any(fractions.wanted[1:]):
        return []
    new = sorted(set(summary.labels).difference(known))
    if settings.stratify == "always":
        return new
    return [label for label in new if _lacks_a_split(summary, label, fractions)]


def _lacks_a_split(summary: AssignmentSummary, label: str, fractions: Fractions) -> bool:
    """Whether the hash of the path leaves a split empty that could have an image of the class."""
    num_images = summary.labels[label]
    counts = [summary.drawn_validation[label], summary.drawn_test[label]]
    missing, _ = rank_counts(num_images, np.array([counts], np.int64), fractions)
    return int(missing[0]) > fractions.least_missing(num_images)


def find_salts(
    session: Callable[[], SparkSession],
    root: str,
    parts: Sequence[str],
    summary: AssignmentSummary,
    config: Config,
    previous: Optional[Manifest],
) -> dict[str, int]:
    """Return the salt of each class that is stratified, in the order of their labels.

    A class that the dataset has already keeps its salt, or stays without one.

    Args:
        session: returns the SparkSession.
        root: the folder of images.
        parts: URLs of files of assignment.ASSIGNED.
        summary: of all images in these files.
        previous: manifest of the version that the run updates.

    Raises:
        InputError: as `find_classes`.
    """
    kept = previous.split_salts if previous else {}
    known = {*previous.labels, *kept} if previous else set()
    settings = config.splits
    new = find_classes(root, summary, settings, known)
    if not settings.can_stratify or summary.num_split_cells or summary.num_group_cells:
        return {}
    spark = None if are_few(summary.num_images) else session()
    chosen = choose_salts(spark, parts, new, Fractions.from_config(config)) if new else {}
    return dict(sorted({**kept, **chosen}.items()))


def choose_salts(
    session: Optional[SparkSession],
    parts: Iterable[str],
    labels: Collection[str],
    fractions: Fractions,
) -> dict[str, int]:
    """Return the best salt of each class.

    Args:
        session: None if the images are few, see `create_frame`.
        parts: as in `find_salts`.
        labels: of classes that have images in these files.
    """
    best: dict[str, tuple[int, float, int]] = {}
    remaining, salts = frozenset(labels), range(_NUM_SALTS)
    while remaining and salts.stop <= MAX_SALTS:
        count = partial(_count_part, fractions, remaining, salts)
        counts = expand_rows(create_url_frame(session, parts), count, _COUNTS)
        num_partitions = -(-len(remaining) * len(salts) // _MAX_COUNTS)
        groups = group_rows(counts, num_partitions, schema.LABEL)
        choices = map_tables(groups, partial(_choose, fractions, salts), _CHOICES)
        found = collect_rows(choices, _PROGRESS)
        for row in found:
            rank = (row.missing, row.distance, row.salt)
            best[row.label] = min(rank, best.get(row.label, rank))
        remaining = frozenset(row.label for row in found if not row.is_best)
        salts = range(salts.stop, 2 * salts.stop)
    return {label: salt for label, (_, _, salt) in best.items()}


def _count_part(
    fractions: Fractions, labels: Collection[str], salts: range, url: str
) -> Iterator[pa.Table]:
    """Yield _COUNTS of the images in a file, by class; runs in a worker."""
    images = storage.read_table(url, [schema.PATH, schema.LABEL])
    is_chosen = arrow.is_in(images[schema.LABEL], arrow.string_array(sorted(labels)))
    rows = sorted(arrow.iter_rows(arrow.filter_rows(images, is_chosen), schema.LABEL, schema.PATH))
    for label, of_label in groupby(rows, key=lambda row: row[0]):
        paths = [path for _, path in of_label]
        step = max(1, _MAX_HASHES // len(salts))
        counts = np.zeros((len(salts), 2), np.int64)
        for start in range(0, len(paths), step):
            counts += splits.count_by_salt(
                paths[start : start + step],
                fractions.seed,
                salts,
                fractions.validation,
                fractions.test,
            )
        yield build_table([(label, len(paths), counts.astype(np.int32).tobytes())], _COUNTS)


def _choose(fractions: Fractions, salts: range, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield _CHOICES of each class; runs in a worker.

    Args:
        tables: of _COUNTS, sorted by label, with all rows of each.
    """
    rows = (row for table in tables for row in arrow.iter_rows(table, *_COUNTS.names))
    for label, of_label in groupby(rows, key=lambda row: row[0]):
        num_images, counts = 0, np.zeros((len(salts), 2), np.int64)
        for _, num_of_part, counts_of_part in of_label:
            num_images += num_of_part
            counts += np.frombuffer(counts_of_part, np.int32).reshape(counts.shape)
        missing, distance = rank_counts(num_images, counts, fractions)
        best = np.lexsort([distance, missing])[0]  # stable: of equal ones the first salt
        choice = (int(missing[best]), float(distance[best]), salts[best])
        is_best = _is_best(num_images, *choice[:2], fractions)
        yield build_table([(label, *choice, is_best)], _CHOICES)


def _is_best(num_images: int, missing: int, distance: float, fractions: Fractions) -> bool:
    if missing > fractions.least_missing(num_images):
        return False
    return num_images > _FEW_IMAGES or distance <= _least_distance(num_images, fractions)


@lru_cache(_FEW_IMAGES)
def _least_distance(num_images: int, fractions: Fractions) -> float:
    """Return the least distance of all counts with the least `missing`."""
    sizes = range(num_images + 1)
    counts = np.array([(n, m) for n in sizes for m in sizes if n + m <= num_images], np.int64)
    missing, distance = rank_counts(num_images, counts, fractions)
    return float(distance[missing == missing.min()].min())
