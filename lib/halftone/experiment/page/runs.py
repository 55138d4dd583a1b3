"""The table of runs on the page, and where each run's own files are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional
from urllib.parse import quote

from halftone import storage
from halftone.config import Config
from halftone.experiment import rows, trial
from halftone.experiment.outcomes import Outcome
from halftone.experiment.rows import Column, Row
from halftone.model_directory import HISTORY
from halftone.scoring.scores_directory import METRICS, REPORT


class Link(NamedTuple):
    text: str
    url: str  # below the page's folder


class Run(NamedTuple):
    """A row of the table."""

    name: str
    links: list[Link]
    is_best: bool
    state: str
    error: str
    settings: str
    cells: list[str]


class Table(NamedTuple):
    shared: str  # settings of all runs, unlike the base's
    groups: list[tuple[str, int]]  # columns side by side that have a heading of their own
    columns: list[Column]
    runs: list[Run]


def table(own: Sequence[Row], base: Config, output: str) -> Table:
    shown = rows.columns(own)
    shared, each = rows.own_settings(own, base)
    groups = [
        (group, len(list(members)))
        for group, members in itertools.groupby(shown, key=lambda column: column.group)
    ]
    made = [
        Run(
            name=row.name(),
            links=links(row.outcome, output),
            is_best=row.is_best,
            state=row.state(),
            error=row.outcome.error,
            settings=settings,
            cells=[rows.written(row, column) for column in shown],
        )
        for row, settings in zip(own, each)
    ]
    return Table(shared, groups, shown, made)


def folders(outcome: Outcome) -> list[str]:
    """Where the run's model and scores are; of a run with folds those of each."""
    folds = (outcome.result or {}).get("folds")
    if not folds:
        return [outcome.folder]
    return [storage.join(outcome.folder, f"fold-{number}") for number in range(len(folds))]


def metrics(outcome: Outcome) -> Optional[dict[str, Any]]:
    """metrics.json of the run, or of its first fold; None where it was not scored."""
    return _json(storage.join(folders(outcome)[0], trial.SCORES, METRICS))


def history(outcome: Outcome) -> Optional[dict[str, Any]]:
    """history.json of the run, or of its first fold; None where no epoch was finished."""
    return _json(storage.join(folders(outcome)[0], trial.MODEL, HISTORY))


def _json(url: str) -> Optional[dict[str, Any]]:
    try:
        found: dict[str, Any] = storage.read_json(url)
    except (OSError, ValueError):
        return None
    return found


def links(outcome: Outcome, output: str) -> list[Link]:
    """To the run's report, or those of its folds."""
    urls = [storage.join(folder, trial.SCORES, REPORT) for folder in folders(outcome)]
    names = [f"fold {number}" for number in range(len(urls))] if len(urls) > 1 else ["report"]
    start = output.rstrip("/") + "/"
    return [
        Link(name, quote(url[len(start) :]))
        for name, url in zip(names, urls)
        if url.startswith(start) and storage.exists(url)
    ]
