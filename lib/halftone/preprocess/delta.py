"""What a run must do, as numbers, and where the images are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Callable, NamedTuple, Optional, overload

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from halftone import arrow
from halftone.dataset import schema
from halftone.preprocess import comparison
from halftone.preprocess.change_files import ChangeTotal, frame_of_changes
from halftone.preprocess.change_notes import NoteCounts
from halftone.preprocess.comparison import Effect
from halftone.preprocess.entries import ENTRIES
from halftone.preprocess.row_notes import GONE, MOVED
from halftone.spark.frames import Frame, map_tables


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
    # Where the images are that the run reads or rejects: a function that returns a frame of all
    # entries, see `Catalogue.read_entries`; or files of CHANGES and the changes to select.
    read_entries: Optional[Callable[[Optional[SparkSession]], Frame]] = None
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
        read_entries: Callable[[Optional[SparkSession]], Frame],
        *,
        num_usable: int,
        num_unusable: int,
        digest: str,
        retry_rejects: bool = False,
    ) -> Delta:
        """Return the work of a run where no images are known, without a Spark job.

        Args:
            read_entries: returns ENTRIES, see `Catalogue.read_entries`.
            digest: of the entries.
            retry_rejects: as in `find_changes`: no image was rejected, so none is read.
        """
        return cls(
            num_read=0 if retry_rejects else num_usable,
            num_unusable=num_unusable,
            num_new_unusable=num_unusable,
            digest=digest,
            read_entries=read_entries,
        )

    def read_images(self, session: SparkSession) -> DataFrame:
        """Return ENTRIES of the images to read, in Spark."""
        return self.read_work(session).where(f"{schema.REASON} = ''")

    def read_unusable(self, session: Optional[SparkSession]) -> Frame:
        """Return schema.REJECTS of the images to reject without reading; see `create_frame`."""
        return map_tables(self.read_work(session), _reject_unusable, schema.REJECTS)

    @overload
    def read_work(self, session: SparkSession) -> DataFrame: ...
    @overload
    def read_work(self, session: Optional[SparkSession]) -> Frame: ...

    def read_work(self, session: Optional[SparkSession]) -> Frame:
        """Return ENTRIES: images to read (reason ""), and images to reject without reading.

        See `create_frame` for `session`.
        """
        if self.read_entries is not None:
            return self.read_entries(session)
        return frame_of_changes(session, self.change_urls, self.work_changes, ENTRIES)


def _reject_unusable(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        unusable = arrow.filter_rows(
            table, arrow.to_numpy(pc.binary_length(table[schema.REASON])) > 0
        )
        names = {schema.PATH: schema.KEY}
        columns = [unusable[names.get(name, name)] for name in schema.REJECTS.names]
        yield pa.table(columns, schema=schema.REJECTS)


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
