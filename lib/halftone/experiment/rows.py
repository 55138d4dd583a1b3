"""Rows and columns of a table of runs: settings, results and those of a paper."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from halftone.config import Config, flatten_settings
from halftone.dataset.splits import SPLITS, TEST
from halftone.experiment import outcomes
from halftone.experiment.outcomes import RunOutcome, StageOutcomes

METRIC_NAMES = ("accuracy", "loss", "precision", "recall", "f1", "mistakes")
PAPER = "paper"
# Settings that do not distinguish runs in the table, such as the name and the output folder.
_HIDDEN_SETTINGS = (
    "name", "paths.", "tracking.", "card.", "spark.", "preprocess.catalogue", "splits.fold",
)  # fmt: skip


class TableColumn(NamedTuple):
    group: str  # a split, PAPER, or empty
    name: str

    def title(self) -> str:
        """Return the heading in one line; a difference is written as a subtraction."""
        if self.group == PAPER and self.is_difference():
            return f"{self.metric()} - paper"
        return f"{self.group} {self.name}".strip()

    def is_difference(self) -> bool:
        return self.name.startswith("Δ")

    def metric(self) -> str:
        return self.name.lstrip("Δ")


PARAMETERS, TRAIN_SECS, IMAGES_PER_SEC = (
    TableColumn("", "parameters"),
    TableColumn("", "train secs"),
    TableColumn("", "images/s"),
)


class RunRow(NamedTuple):
    outcome: RunOutcome
    is_best: bool
    settings: dict[str, Any]  # by dotted key; those in which runs of the table differ
    values: dict[TableColumn, float]  # without missing values
    stds: dict[TableColumn, float]  # of a run with folds, else empty

    def name(self) -> str:
        return self.outcome.trial.name

    def state(self) -> str:
        """Return why results are missing; empty if the run is finished."""
        if self.outcome.error:
            return "failed"
        if self.outcome.is_pruned and self.outcome.result is not None:
            epochs = self.outcome.result["epochs"]
            return f"pruned after {epochs} epoch{'s' * (epochs != 1)}"
        return ""

    def label(self) -> str:
        """Return the name with its state and the mark of the best run, for a text table."""
        state = f" ({self.state()})" if self.state() else ""
        return f"{self.name()}{state}{' *' if self.is_best else ''}"


def list_differing_keys(configs: Sequence[Config]) -> list[str]:
    """Return the dotted keys of settings that differ between the configs."""
    flattened = [flatten_settings(config.model_dump(mode="json")) for config in configs]
    keys = [
        key for settings in flattened for key in settings if not key.startswith(_HIDDEN_SETTINGS)
    ]
    return [
        key
        for key in dict.fromkeys(keys)
        if any(settings.get(key) != flattened[0].get(key) for settings in flattened)
    ]


def build_rows(stage: StageOutcomes, base: Config) -> list[RunRow]:
    """Build a row for each run, with the settings in which any run differs from the base."""
    keys = list_differing_keys([base, *(outcome.trial.config for outcome in stage.outcomes)])
    return [
        _build_row(outcome, keys, outcome.trial.name == stage.best) for outcome in stage.outcomes
    ]


def _build_row(outcome: RunOutcome, keys: Sequence[str], is_best: bool) -> RunRow:
    settings = flatten_settings(outcome.trial.config.model_dump(mode="json"))
    result = outcome.result or {}
    values = _column_values(result)
    for metric in (*METRIC_NAMES, "train_secs"):
        paper_value = getattr(outcome.trial.paper, metric)
        value = values.get(TRAIN_SECS if metric == "train_secs" else TableColumn(TEST, metric))
        name = metric.replace("_", " ")
        if paper_value is not None:
            values[TableColumn(PAPER, name)] = paper_value
            if value is not None:
                values[TableColumn(PAPER, f"Δ{name}")] = value - paper_value
    shown_settings = {key: settings.get(key) for key in keys}
    return RunRow(outcome, is_best, shown_settings, values, _column_values(result.get("std", {})))


def _column_values(result: outcomes.RunResult) -> dict[TableColumn, float]:
    values = {PARAMETERS: result.get("parameters")}
    for split in SPLITS:
        for metric in METRIC_NAMES:
            values[TableColumn(split, metric)] = outcomes.metric_value(result, split, metric)
    values.update(
        {TRAIN_SECS: result.get("train_secs"), IMAGES_PER_SEC: result.get("images_per_sec")}
    )
    return {column: value for column, value in values.items() if value is not None}


def list_columns(rows: Sequence[RunRow]) -> list[TableColumn]:
    """Return the columns that have a value in any row, in the order of the table."""
    splits = [TableColumn(split, metric) for split in SPLITS for metric in METRIC_NAMES]
    names = [*METRIC_NAMES, "train secs"]
    papers = [TableColumn(PAPER, mark + name) for name in names for mark in ("", "Δ")]
    columns = (PARAMETERS, *splits, TRAIN_SECS, IMAGES_PER_SEC, *papers)
    nonempty = {column for row in rows for column in row.values}
    return [column for column in columns if column in nonempty]


def format_cell(row: RunRow, column: TableColumn) -> str:
    """Format a value for reading, with its standard deviation if the run has folds."""
    if column not in row.values:
        return "-"
    text = _format_number(column, row.values[column])
    if column in row.stds:
        text += f" ±{_format_number(column, row.stds[column])}"
    return text


def _format_number(column: TableColumn, value: float) -> str:
    sign = "+" if column.is_difference() else ""
    metric = column.metric()
    if metric == "loss":
        return f"{value:{sign}.4g}"
    if metric == "train secs":
        return f"{value:{sign},.1f}"
    if metric in METRIC_NAMES and metric != "mistakes":
        return f"{value:{sign}.4f}"
    return f"{value:{sign},.1f}" if value % 1 and metric == "mistakes" else f"{value:{sign},.0f}"


def describe_settings(rows: Sequence[RunRow], base: Config) -> tuple[str, list[str]]:
    """Describe the settings that differ from the base.

    Returns:
        Those that all runs share, and for each row the remaining ones of its run.
    """
    base_settings = flatten_settings(base.model_dump(mode="json"))
    changes = [
        {
            key: value
            for key, value in row.settings.items()
            if value not in (None, base_settings.get(key))
        }
        for row in rows
    ]
    shared = {
        key: value
        for key, value in (changes[0] if len(rows) > 1 else {}).items()
        if all(key in settings and settings[key] == value for settings in changes)
    }
    short_keys = _short_keys(list(rows[0].settings)) if rows else {}
    remaining = [
        {key: value for key, value in settings.items() if key not in shared} for settings in changes
    ]
    return (
        _format_settings(shared, short_keys),
        [_format_settings(settings, short_keys) for settings in remaining],
    )


def _format_settings(settings: Mapping[str, Any], short_keys: Mapping[str, str]) -> str:
    return " ".join(f"{short_keys[key]}={format_setting(value)}" for key, value in settings.items())


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Abbreviate each key to its last part if that is unique among the keys."""
    last_parts = {key: key.replace(".name", "").rpartition(".")[2] for key in keys}
    counts = Counter(last_parts.values())
    return {key: part if counts[part] == 1 else key for key, part in last_parts.items()}


def format_setting(value: Any) -> str:
    """Format a setting for reading; floats are rounded to six significant digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def describe_criterion(stage: StageOutcomes) -> Optional[str]:
    """Describe the metric that selected the best run; None if there is no best run."""
    best = next((outcome for outcome in stage.outcomes if outcome.trial.name == stage.best), None)
    if best is None or best.result is None:
        return None
    choose = stage.choose
    extreme = "lowest" if choose.sign > 0 else "highest"
    if outcomes.metric_value(best.result, choose.split, choose.metric) is None:
        return f"{extreme} train {choose.metric}, as there is no validation split"
    return f"{extreme} {choose.split} {choose.metric}"
