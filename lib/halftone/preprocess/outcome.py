"""Decide for every input whether it becomes a row, a reject or a duplicate; check their sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Optional

import pyarrow as pa

from halftone import storage
from halftone.dataset import schema
from halftone.dataset.manifest import DUPLICATES, NEAR_DUPLICATES, REJECTS
from halftone.dataset.plain_reads import refuse_plain_reads
from halftone.dataset.splits import SPLITS
from halftone.preprocess import candidates, outcome_checks
from halftone.preprocess.candidates import SourceFile
from halftone.preprocess.context import PreprocessContext
from halftone.preprocess.decode_block import StagedPart
from halftone.preprocess.duplicates import Resolutions, resolve_exact_duplicates
from halftone.preprocess.entries import DUPLICATE
from halftone.preprocess.outcome_checks import Counts
from halftone.preprocess.shards import FileRows
from halftone.preprocess.side_tables import EMPTY_TABLE, SideTable, TableSources, write_side_table
from halftone.preprocess.similar_images import SimilarImages, find_similar_images
from halftone.spark.frames import Frame, union_frames


class PreprocessOutcome(NamedTuple):
    """The contents of the new version."""

    file_rows: list[FileRows]  # of existing shards, then of staged parts
    labels: list[str]  # the labels of the previous version in its order, then the new ones
    counts: Counts  # rows by split and label, zeros included
    inputs: int
    rejects: SideTable
    duplicates: SideTable
    near_duplicates: SideTable
    possible_label_errors: int  # near duplicates of an image with another label
    chance_near_fraction: Optional[float]  # see near_duplicates.measure_chance


class StagedRows(NamedTuple):
    """What a run has staged."""

    moved: Sequence[StagedPart]  # rows of the previous version with another label or split
    new: Sequence[StagedPart]


def decide_outcome(
    context: PreprocessContext, staged: StagedRows, *, drop_empty_labels: bool
) -> PreprocessOutcome:
    """Decide which images become rows, and write the tables of all others.

    Of exact duplicates (same bytes, same label) one is kept: the row of the previous version, or
    the first by path. Images with the same bytes and different labels are all rejected as a
    conflict. A near duplicate with another label than the image that it looks like is always kept,
    as one of the two may be a label error.

    Args:
        drop_empty_labels: leave out labels of the previous version that have no rows any more.

    Raises:
        InputError: too many rejects, too many near duplicates to drop, or too few classes left to
            train on.
        RunError: an input is missing from the outcome, which is a bug.
    """
    settings, root = context.config.preprocess, context.catalogue.root
    sources = _list_sources(context, staged)
    folder = storage.join(context.folder, "resolved")
    session = context.session_for(sum(source.num_candidates for source in sources))
    resolutions = resolve_exact_duplicates(session, sources, folder)
    kept = _leave_out(sources, resolutions.notes, resolutions.num_dropped)
    similar: Optional[SimilarImages] = None
    dropped_similar = False
    if settings.near_duplicates != "off":
        folder = storage.join(context.folder, "similar")
        similar = find_similar_images(session, kept, settings.near_distance, folder)
        dropped_similar = settings.near_duplicates == "drop" and bool(similar.notes)
    by_class = resolutions.counts.copy()
    if similar and dropped_similar:
        kept = _leave_out(kept, similar.notes, similar.num_by_source)
        by_class.subtract(similar.num_by_class)
    labels, counts = _count_classes(context.previous_labels, by_class)
    sources_of_tables = _TableFiles(*(context, staged, kept, resolutions, similar, dropped_similar))
    rejects = sources_of_tables.write_rejects()
    num_duplicates = sources_of_tables.num_duplicates
    inputs = context.num_inputs
    outcome_checks.check_sum(root, inputs, counts, rejects.num_rows, num_duplicates)
    file_rows = _list_file_rows(kept)
    if drop_empty_labels:
        labels, counts, file_rows = _drop_empty_labels(labels, counts, file_rows)
    outcome_checks.check_rejects(root, inputs, rejects, settings.max_reject_fraction)
    if similar and dropped_similar:
        num_dropped: Counter[str] = sum(similar.num_by_source.values(), Counter())
        outcome_checks.check_dropped(root, counts, num_dropped, similar.chance_fraction, settings)
    outcome_checks.check_classes(root, inputs, counts)
    return PreprocessOutcome(
        file_rows,
        labels,
        counts,
        inputs,
        rejects,
        sources_of_tables.write_duplicates(),
        sources_of_tables.write_near_duplicates(),
        similar.num_other_label if similar else 0,
        similar.chance_fraction if similar else None,
    )


def _list_sources(context: PreprocessContext, staged: StagedRows) -> list[SourceFile]:
    """Return all files with rows or duplicates, in the order of the new version."""
    sources = []
    for file in context.files:
        noted = context.delta.notes.get(file.index)
        notes = (noted.url,) if noted else ()
        num_left_out = noted.num_dropped + noted.num_moved if noted else 0
        if file.shard:
            num_rows = {file.shard.split: file.shard.rows - num_left_out}
            sources.append(SourceFile(file.url, candidates.ROWS, num_rows, notes, file.shard))
        elif file.kind == DUPLICATES:
            num_rows = {"": (storage.count_rows(file.url) or 0) - num_left_out}
            sources.append(SourceFile(file.url, candidates.DUPLICATES, num_rows, notes))
    for kind, parts in ((candidates.MOVED, staged.moved), (candidates.NEW, staged.new)):
        sources += [SourceFile(part.url, kind, part.num_decoded) for part in parts]
    return sources


def _leave_out(
    sources: Sequence[SourceFile], notes: dict[int, str], num_dropped: dict[int, Counter[str]]
) -> list[SourceFile]:
    """Return the sources with more notes, by index, and fewer rows."""
    return [
        source._replace(
            notes=(*source.notes, notes[index]),
            num_rows={
                split: count - num_dropped[index][split] for split, count in source.num_rows.items()
            },
        )
        if index in notes
        else source
        for index, source in enumerate(sources)
    ]


def _count_classes(
    previous_labels: Sequence[str], by_class: Counter[tuple[str, str]]
) -> tuple[list[str], Counts]:
    found = {label for (_, label), count in by_class.items() if count}
    labels = [*previous_labels, *sorted(found - set(previous_labels))]
    return labels, {split: {label: by_class[split, label] for label in labels} for split in SPLITS}


def _list_file_rows(sources: Iterable[SourceFile]) -> list[FileRows]:
    """Return the rows of each file and split. A shard that loses no row may stay as it is."""
    file_rows = []
    for source in sources:
        if source.kind == candidates.DUPLICATES:
            continue
        for split in SPLITS:
            num_rows = source.num_rows.get(split, 0)
            if num_rows:
                is_whole = source.shard is not None and source.shard.rows == num_rows
                shard = source.shard if is_whole else None
                file_rows.append(FileRows(source.url, split, num_rows, source.notes, shard))
    return file_rows


def _drop_empty_labels(
    labels: list[str], counts: Counts, file_rows: list[FileRows]
) -> tuple[list[str], Counts, list[FileRows]]:
    """Leave out labels without rows. Shards are written again if their label_ids change."""
    remaining = [label for label in labels if any(by_label[label] for by_label in counts.values())]
    if remaining != labels[: len(remaining)]:
        file_rows = [rows._replace(shard=None) for rows in file_rows]
    remaining_counts = {
        split: {label: by_label[label] for label in remaining} for split, by_label in counts.items()
    }
    return remaining, remaining_counts, file_rows


class _TableFiles(NamedTuple):
    """The files that the tables of rejects, duplicates and near duplicates are made of."""

    context: PreprocessContext
    staged: StagedRows
    sources: Sequence[SourceFile]  # with notes on all that is left out
    resolutions: Resolutions
    similar: Optional[SimilarImages]
    dropped_similar: bool  # near duplicates with the same label are duplicates

    def write_rejects(self) -> SideTable:
        context, delta = self.context, self.context.delta
        with_rejects = [part for part in self.staged.new if part.num_rejected]
        by_status = self.resolutions.num_by_status
        num_rows = self._num_previous_rejects() + delta.num_unusable
        num_rows += sum(part.num_rejected for part in with_rejects)
        num_rows += sum(by_status.values()) - by_status[DUPLICATE]
        if not num_rows:
            return EMPTY_TABLE
        sources = TableSources(
            previous=self._previous_rejects(),
            parts=[part.url for part in with_rejects],
            resolved=self.resolutions.files,
        )
        session = context.session_for(context.num_inputs)
        rows = sources.read(session, schema.REJECTS)
        if delta.num_unusable:
            rows = union_frames(rows, delta.read_unusable(session))
        return self._write(REJECTS, schema.REJECTS, rows, num_rows)

    @property
    def num_duplicates(self) -> int:
        num_previous = sum(source.num_candidates for source in self._previous_duplicates())
        num_similar = 0
        if self.similar and self.dropped_similar:
            num_similar = sum(self.similar.num_by_class.values())
        return num_previous + self.resolutions.num_by_status[DUPLICATE] + num_similar

    def write_duplicates(self) -> SideTable:
        if not self.num_duplicates:
            return EMPTY_TABLE
        sources = TableSources(
            previous=[(source.url, source.notes) for source in self._previous_duplicates()],
            resolved=self.resolutions.files,
            similar=self.similar.files if self.similar and self.dropped_similar else (),
        )
        session = self.context.session_for(self.num_duplicates)
        rows = sources.read(session, schema.DUPLICATES)
        return self._write(DUPLICATES, schema.DUPLICATES, rows, self.num_duplicates)

    def write_near_duplicates(self) -> SideTable:
        similar = self.similar
        if similar is None or not similar.num_images:
            return EMPTY_TABLE
        session = self.context.session_for(similar.num_images)
        rows = TableSources(similar=similar.files).read(session, schema.NEAR_DUPLICATES)
        return self._write(NEAR_DUPLICATES, schema.NEAR_DUPLICATES, rows, similar.num_images)

    def _write(self, name: str, table_schema: pa.Schema, rows: Frame, num_rows: int) -> SideTable:
        dataset, run_name = self.context.dataset, self.context.run_name
        refuse_plain_reads(dataset, [name])
        return write_side_table(rows, table_schema, num_rows, dataset, name, run_name)

    def _previous_duplicates(self) -> list[SourceFile]:
        return [source for source in self.sources if source.kind == candidates.DUPLICATES]

    def _previous_rejects(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the rejects files of the previous version, each with the URLs of its notes."""
        notes = self.context.delta.notes
        return [
            (file.url, (notes[file.index].url,) if file.index in notes else ())
            for file in self.context.files
            if file.kind == REJECTS
        ]

    def _num_previous_rejects(self) -> int:
        manifest, notes = self.context.previous_manifest, self.context.delta.notes
        if manifest is None:
            return 0
        indices = [file.index for file in self.context.files if file.kind == REJECTS]
        return manifest.rejects - sum(
            notes[index].num_dropped for index in indices if index in notes
        )
