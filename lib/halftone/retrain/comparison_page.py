"""An HTML page of one run: champion and challenger on the same rows, for those who check the gate.

It has the rows that changed sides, with pictures, the slices of both models, and the drift of the
new images. The page is self-contained, and stays when the scores are removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from halftone import storage
from halftone.dataset import manifest
from halftone.metrics.model import SliceScores, SplitScores
from halftone.report import pictures, templates
from halftone.report.pictures import EmbeddedPicture
from halftone.report.words import relative_path
from halftone.retrain.gate.changed_rows import (
    LOST,
    WON,
    ChangedRow,
    ChangedRows,
    find_changed_rows,
    read_pictures,
)
from halftone.retrain.gate.compare import CHALLENGER, CHAMPION, SCORES, prediction_files
from halftone.retrain.job import RetrainJob
from halftone.retrain.state.history import RetrainOutcome
from halftone.retrain.state.journal import Journal, JournalEntry, run_path
from halftone.scoring import scores_directory
from halftone.scoring.scores_directory import REPORT
from halftone.spark.local_frame import are_few

NAME = "comparison.html"
_MAX_SLICES = 50  # of a column


class SliceChange(NamedTuple):
    """A slice of both models; its rows are the same."""

    title: str
    rows: int
    before: float  # accuracy
    now: float
    f1_before: float
    f1_now: float

    @property
    def difference(self) -> float:
        return self.now - self.before


class ColumnChanges(NamedTuple):
    column: str
    num_slices: int
    shown: list[SliceChange]  # the largest fall of the accuracy first


class RunPages(NamedTuple):
    """Paths of the pages of a run, below retrain.folder."""

    comparison: Optional[str]  # None if no models were compared
    reports: dict[str, str]  # by CHAMPION and CHALLENGER; none once the scores are removed


class ChangedPicture(NamedTuple):
    row: ChangedRow
    path: str  # below the folder of images
    shown: EmbeddedPicture


def write_comparison(job: RetrainJob, journal: Journal, outcome: RetrainOutcome) -> Optional[str]:
    """Write the page of a run whose models were compared; return its URL, None if none was.

    Raises:
        RunError: predictions or shards cannot be read.
    """
    score, gate, snapshot = (journal.read(step) for step in ("score", "gate", "snapshot"))
    if not score or not gate or not snapshot or not score.get(CHAMPION):
        return None
    champion, challenger = (
        scores_directory.read_split_scores(score[side]) for side in (CHAMPION, CHALLENGER)
    )
    session = None if are_few(challenger.rows) else job.session()
    changed = find_changed_rows(
        session,
        challenger.labels,
        *(prediction_files(score[side]) for side in (CHAMPION, CHALLENGER)),
    )
    dataset = snapshot["dataset"]
    data = manifest.read_manifest(dataset)
    shards = manifest.read_shards(dataset, data, challenger.split)
    rows = [row for side in (LOST, WON) for row in changed[side].shown]
    pixels = read_pictures(session, dataset, shards, data.pixels, rows)
    max_side_px = pictures.choose_max_side_px(list(pixels.values()))
    shown = {
        row.key: ChangedPicture(
            row,
            relative_path(row.key, data.images),
            pictures.embed_picture(pixels[row.key], max_side_px),
        )
        for row in rows
    }
    text = render_comparison(
        job.registry.name, outcome, (champion, challenger), changed, shown, journal.read("drift")
    )
    url = storage.join(journal.folder, NAME)
    storage.write_bytes(url, text.encode())
    return url


def render_comparison(
    name: str,
    outcome: RetrainOutcome,
    scores: tuple[SplitScores, SplitScores],
    changed: dict[str, ChangedRows],
    shown: dict[str, ChangedPicture],
    drift: Optional[JournalEntry],
) -> str:
    """Return the page as HTML. The same arguments give the same text.

    Args:
        name: name of the registered model.
        outcome: of the run.
        scores: of champion and challenger.
        changed: rows that changed sides.
        shown: by the keys of their shown rows.
        drift: journal entry of the step drift.
    """
    champion, challenger = scores
    num_lost, num_won = changed[LOST].num_rows, changed[WON].num_rows
    sides: list[dict[str, Any]] = [
        {
            "id": side,
            "title": title,
            "count": changed[side].num_rows,
            "pictures": [shown[row.key] for row in changed[side].shown],
        }
        for side, title in (
            (LOST, "Right before, wrong now"),
            (WON, "Wrong before, right now"),
        )
    ]
    return templates.render_page(
        "challenger.html.j2",
        __package__,
        name=name,
        outcome=outcome,
        champion=champion,
        challenger=challenger,
        sides=sides,
        both_right=challenger.num_correct - num_won,
        both_wrong=challenger.rows - challenger.num_correct - num_lost,
        slices=compare_slices(champion.slices, challenger.slices),
        drift=drift,
    )


def compare_slices(
    before: Optional[SliceScores], now: Optional[SliceScores]
) -> list[ColumnChanges]:
    """Return the slices of both models by column; none if the scores have no slices."""
    if before is None or now is None:
        return []
    earlier = {
        (column.column, each.key): each for column in before.columns for each in column.slices
    }
    columns = []
    for column in now.columns:
        changes = [
            SliceChange(each.title, each.rows, known.accuracy, each.accuracy, known.f1, each.f1)
            for each in column.slices
            for known in [earlier.get((column.column, each.key))]
            if known is not None
        ]
        changes.sort(key=lambda change: (change.difference, -change.rows, change.title))
        columns.append(ColumnChanges(column.column, len(changes), changes[:_MAX_SLICES]))
    return columns


def list_run_pages(root: str, outcomes: Sequence[RetrainOutcome]) -> dict[int, RunPages]:
    """Return the pages of each run that measured a model and still has some, by run number."""
    pages = {}
    for outcome in outcomes:
        if not outcome["measures"]:
            continue
        folder = run_path(outcome["night"])
        names = storage.list_names(storage.join(root, folder))  # one request for all of them
        comparison = storage.join(folder, NAME) if NAME in names else None
        sides = outcome["measures"] if SCORES in names else ()
        reports = {side: storage.join(folder, SCORES, side, REPORT) for side in sides}
        if comparison or reports:
            pages[outcome["night"]] = RunPages(comparison, reports)
    return pages
