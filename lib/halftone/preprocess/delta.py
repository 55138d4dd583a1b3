"""What a run must do, as numbers, and where the images are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Optional

from pyspark.sql import DataFrame, SparkSession

from halftone.preprocess import comparison
from halftone.preprocess.change_files import ChangeTotal, frame_of_changes
from halftone.preprocess.change_notes import NoteCounts
from halftone.preprocess.comparison import Effect
from halftone.preprocess.entries import ENTRIES
from halftone.preprocess.row_notes import GONE, MOVED


class Delta(NamedTuple):
    """What a run must do. All known images without a note stay as they are."""

    num_read: int = 0  # listed images that are new, changed, or to be tried again
    num_unusable: int = 0  # listed images that are rejected without being read
    num_new_unusable: int = 0  # those of them that are not known
    num_moved: int = 0  # known rows that get another label or split, and are not read
    num_removed: int = 0  # known images whose row, reject or duplicate is removed
    num_missing: int = 0  # known images that are no longer listed, but stay
    num_missing_labelled: int = 0  # those of them that are rows or duplicates
    missing_example: str = ""  # the key of the first of these
    conflict_labels: str = ""  # `digest_labels` of the known conflicts that are listed
    digest: str = ""  # of all decisions, hexadecimal
    notes: Mapping[int, NoteCounts] = {}  # by the index of the file
    # Where the images are that the run reads or rejects: all entries, or files of CHANGES and the
    # changes to select.
    entries: Optional[DataFrame] = None
    change_urls: tuple[str, ...] = ()
    work_changes: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether no image is read, moved or removed."""
        return not (self.num_read or self.num_moved or self.num_removed)

    @property
    def all_unusable_known(self) -> bool:
        return not self.num_new_unusable

    @property
    def num_left_out(self) -> int:
        """Rows of files of the previous version that are dropped or moved."""
        return sum(counts.num_dropped + counts.num_moved for counts in self.notes.values())

    @classmethod
    def of_new_dataset(
        cls,
        entries: DataFrame,
        *,
        num_usable: int,
        num_unusable: int,
        digest: str,
        retry_rejects: bool = False,
    ) -> Delta:
        """Return the work of a run where no images are known, without a Spark job.

        Args:
            entries: ENTRIES.
            digest: of the entries.
            retry_rejects: as in `find_changes`: no image was rejected, so none is read.
        """
        return cls(
            num_read=0 if retry_rejects else num_usable,
            num_unusable=num_unusable,
            num_new_unusable=num_unusable,
            digest=digest,
            entries=entries.filter("reason <> ''") if retry_rejects else entries,
        )

    def read_work(self, session: SparkSession) -> DataFrame:
        """Return ENTRIES: images to read (reason ""), and images to reject without reading."""
        if self.entries is not None:
            return self.entries
        return frame_of_changes(session, self.change_urls, self.work_changes, ENTRIES)


def build_delta(
    urls: Sequence[str],
    totals: Mapping[str, ChangeTotal],
    effects: Mapping[str, Effect],
    notes: Mapping[int, NoteCounts],
) -> Delta:
    """Return the work that follows from a comparison.

    Args:
        urls: of the files of CHANGES.
        totals: by change, as `effects`.
        notes: by the index of the file.
    """
    work = {change for change in totals if effects[change].is_work}
    unusable = work.intersection(comparison.UNUSABLE_CHANGES)
    missing = {change for change in totals if effects[change].note == GONE}
    labelled = [totals[change] for change in missing.intersection(comparison.GONE_WITH_LABEL)]

    def count(changes: Iterable[str]) -> int:
        return sum(totals[change].num_images for change in changes)

    return Delta(
        num_read=count(work - unusable),
        num_unusable=count(unusable),
        num_new_unusable=count(unusable & {comparison.REJECTED}),
        num_moved=count(change for change in totals if effects[change].note == MOVED),
        num_removed=count(change for change in totals if effects[change].is_removed),
        num_missing=count(missing),
        num_missing_labelled=sum(total.num_images for total in labelled),
        missing_example=min((total.first for total in labelled), default=(0, 0, ""))[2],
        conflict_labels=digest_conflicts(totals),
        digest=_digest_decisions(totals, effects),
        notes=notes,
        change_urls=tuple(urls),
        work_changes=frozenset(work),
    )


def digest_conflicts(totals: Mapping[str, ChangeTotal]) -> str:
    """Return `changes.digest_labels` of the known conflicts that are listed and not read again."""
    total = totals.get(comparison.LISTED_CONFLICT)
    return f"{total.label_digest:032x}" if total else ""


def _digest_decisions(totals: Mapping[str, ChangeTotal], effects: Mapping[str, Effect]) -> str:
    decisions = [
        (change, total.num_images, total.digest, *effects[change])
        for change, total in sorted(totals.items())
    ]
    return hashlib.blake2b(json.dumps(decisions).encode(), digest_size=16).hexdigest()
