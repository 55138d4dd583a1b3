"""Build the table of runs on the page, and locate the files of each run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional
from urllib.parse import quote

from halftone import storage
from halftone.config import Config
from halftone.dataset.splits import TEST, TRAIN, VALIDATION
from halftone.experiment import rows, trial
from halftone.experiment.outcomes import RunOutcome
from halftone.experiment.rows import PAPER, RunRow, TableColumn
from halftone.metrics.model import SplitScores
from halftone.model_directory import HISTORY
from halftone.scoring.scores_directory import REPORT, read_split_scores

# From the left: a screen has no room for all, and the results on the test split are what counts.
_GROUP_ORDER = (TEST, PAPER, VALIDATION, TRAIN, "")


class ReportLink(NamedTuple):
    text: str
    url: str  # relative to the folder of the page


class RunTableRow(NamedTuple):
    """Content of a row of the table."""

    name: str
    links: list[ReportLink]
    is_best: bool
    state: str
    error: str
    settings: str
    cells: list[str]


class RunTable(NamedTuple):
    """Content of the table of a stage."""

    shared_settings: str  # settings of all runs that differ from the base
    groups: list[tuple[str, int]]  # headings over adjacent columns, and the number of columns
    columns: list[TableColumn]
    runs: list[RunTableRow]


def build_table(run_rows: Sequence[RunRow], base: Config, output: str) -> RunTable:
    columns = sorted(
        rows.list_columns(run_rows), key=lambda column: _GROUP_ORDER.index(column.group)
    )
    shared_settings, settings_by_row = rows.describe_settings(run_rows, base)
    groups = [
        (group, len(list(members)))
        for group, members in itertools.groupby(columns, key=lambda column: column.group)
    ]
    table_rows = [
        RunTableRow(
            name=row.name(),
            links=list_report_links(row.outcome, output),
            is_best=row.is_best,
            state=row.state(),
            error=row.outcome.error,
            settings=settings,
            cells=[rows.format_cell(row, column) for column in columns],
        )
        for row, settings in zip(run_rows, settings_by_row)
    ]
    return RunTable(shared_settings, groups, columns, table_rows)


def list_training_folders(outcome: RunOutcome) -> list[str]:
    """Return the folder with the model and scores of a run, or one folder for each fold."""
    folds = (outcome.result or {}).get("folds")
    if not folds:
        return [outcome.folder]
    return [storage.join(outcome.folder, f"fold-{number}") for number in range(len(folds))]


def read_metrics(outcome: RunOutcome) -> Optional[SplitScores]:
    """Read metrics.json of a run, or of its first fold; None if it was not scored."""
    try:
        return read_split_scores(storage.join(list_training_folders(outcome)[0], trial.SCORES))
    except (OSError, ValueError):
        return None


def read_history(outcome: RunOutcome) -> Optional[dict[str, Any]]:
    """Read history.json of a run, or of its first fold; None if no epoch is finished."""
    return _read_json(storage.join(list_training_folders(outcome)[0], trial.MODEL, HISTORY))


def _read_json(url: str) -> Optional[dict[str, Any]]:
    try:
        content: dict[str, Any] = storage.read_json(url)
    except (OSError, ValueError):
        return None
    return content


def list_report_links(outcome: RunOutcome, output: str) -> list[ReportLink]:
    """Return links to the report of a run, or to those of its folds."""
    urls = [storage.join(folder, trial.SCORES, REPORT) for folder in list_training_folders(outcome)]
    names = [f"fold {number}" for number in range(len(urls))] if len(urls) > 1 else ["report"]
    prefix = output.rstrip("/") + "/"
    return [
        ReportLink(name, quote(url[len(prefix) :]))
        for name, url in zip(names, urls)
        if url.startswith(prefix) and storage.exists(url)
    ]
