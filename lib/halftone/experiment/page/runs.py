"""The table of runs on the page, and where each run's own files are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional
from urllib.parse import quote

from halftone import storage
from halftone.config import Config
from halftone.experiment import rows, trial
from halftone.experiment.outcomes import RunOutcome
from halftone.experiment.rows import RunRow, TableColumn
from halftone.metrics.model import SplitScores
from halftone.model_directory import HISTORY
from halftone.scoring.scores_directory import REPORT, read_split_scores


class ReportLink(NamedTuple):
    text: str
    url: str  # below the page's folder


class RunTableRow(NamedTuple):
    """A row of the table."""

    name: str
    links: list[ReportLink]
    is_best: bool
    state: str
    error: str
    settings: str
    cells: list[str]


class RunTable(NamedTuple):
    shared_settings: str  # settings of all runs, unlike the base's
    groups: list[tuple[str, int]]  # columns side by side that have a heading of their own
    columns: list[TableColumn]
    runs: list[RunTableRow]


def build_table(run_rows: Sequence[RunRow], base: Config, output: str) -> RunTable:
    shown = rows.list_columns(run_rows)
    shared, each = rows.describe_settings(run_rows, base)
    groups = [
        (group, len(list(members)))
        for group, members in itertools.groupby(shown, key=lambda column: column.group)
    ]
    made = [
        RunTableRow(
            name=row.name(),
            links=list_report_links(row.outcome, output),
            is_best=row.is_best,
            state=row.state(),
            error=row.outcome.error,
            settings=settings,
            cells=[rows.format_cell(row, column) for column in shown],
        )
        for row, settings in zip(run_rows, each)
    ]
    return RunTable(shared, groups, shown, made)


def list_training_folders(outcome: RunOutcome) -> list[str]:
    """Where the run's model and scores are; of a run with folds those of each."""
    folds = (outcome.result or {}).get("folds")
    if not folds:
        return [outcome.folder]
    return [storage.join(outcome.folder, f"fold-{number}") for number in range(len(folds))]


def read_metrics(outcome: RunOutcome) -> Optional[SplitScores]:
    """metrics.json of the run, or of its first fold; None where it was not scored."""
    try:
        return read_split_scores(storage.join(list_training_folders(outcome)[0], trial.SCORES))
    except (OSError, ValueError):
        return None


def read_history(outcome: RunOutcome) -> Optional[dict[str, Any]]:
    """history.json of the run, or of its first fold; None where no epoch was finished."""
    return _read_json(storage.join(list_training_folders(outcome)[0], trial.MODEL, HISTORY))


def _read_json(url: str) -> Optional[dict[str, Any]]:
    try:
        found: dict[str, Any] = storage.read_json(url)
    except (OSError, ValueError):
        return None
    return found


def list_report_links(outcome: RunOutcome, output: str) -> list[ReportLink]:
    """To the run's report, or those of its folds."""
    urls = [storage.join(folder, trial.SCORES, REPORT) for folder in list_training_folders(outcome)]
    names = [f"fold {number}" for number in range(len(urls))] if len(urls) > 1 else ["report"]
    start = output.rstrip("/") + "/"
    return [
        ReportLink(name, quote(url[len(start) :]))
        for name, url in zip(names, urls)
        if url.startswith(start) and storage.exists(url)
    ]
