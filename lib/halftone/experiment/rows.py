"""What a table of runs shows: a row for each run, its settings, its figures, and a paper's."""

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
# Where a run is kept and what it is called is no difference between networks.
_HIDDEN_SETTINGS = ("name", "paths.", "tracking.", "spark.", "preprocess.catalogue", "splits.fold")


class TableColumn(NamedTuple):
    group: str  # a split, PAPER, or nothing
    name: str

    def title(self) -> str:
        """On one line; a difference names both sides of it."""
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
    settings: dict[str, Any]  # by dotted key, those that the table is about
    values: dict[TableColumn, float]  # those that there are
    stds: dict[TableColumn, float]  # of a run with folds

    def name(self) -> str:
        return self.outcome.trial.name

    def state(self) -> str:
        """Why it has not all figures; an empty text where it has."""
        if self.outcome.error:
            return "failed"
        if self.outcome.is_pruned and self.outcome.result is not None:
            epochs = self.outcome.result["epochs"]
            return f"pruned after {epochs} epoch{'s' * (epochs != 1)}"
        return ""

    def label(self) -> str:
        """Its name as a table of text has it."""
        state = f" ({self.state()})" if self.state() else ""
        return f"{self.name()}{state}{' *' if self.is_best else ''}"


def list_differing_keys(configs: Sequence[Config]) -> list[str]:
    """Dotted keys of settings that are not the same in all of the configs."""
    every = [flatten_settings(config.model_dump(mode="json")) for config in configs]
    keys = [key for one in every for key in one if not key.startswith(_HIDDEN_SETTINGS)]
    return [
        key
        for key in dict.fromkeys(keys)
        if any(one.get(key) != every[0].get(key) for one in every)
    ]


def build_rows(stage: StageOutcomes, base: Config) -> list[RunRow]:
    """A row for each run, with the settings in which it or another differs from the base."""
    keys = list_differing_keys([base, *(one.trial.config for one in stage.outcomes)])
    return [_build_row(one, keys, one.trial.name == stage.best) for one in stage.outcomes]


def _build_row(outcome: RunOutcome, keys: Sequence[str], is_best: bool) -> RunRow:
    settings = flatten_settings(outcome.trial.config.model_dump(mode="json"))
    result = outcome.result or {}
    figures = _column_values(result)
    for metric in (*METRIC_NAMES, "train_secs"):
        paper = getattr(outcome.trial.paper, metric)
        ours = figures.get(TRAIN_SECS if metric == "train_secs" else TableColumn(TEST, metric))
        name = metric.replace("_", " ")
        if paper is not None:
            figures[TableColumn(PAPER, name)] = paper
            if ours is not None:
                figures[TableColumn(PAPER, f"Δ{name}")] = ours - paper
    own = {key: settings.get(key) for key in keys}
    return RunRow(outcome, is_best, own, figures, _column_values(result.get("std", {})))


def _column_values(result: outcomes.RunResult) -> dict[TableColumn, float]:
    found = {PARAMETERS: result.get("parameters")}
    for split in SPLITS:
        for metric in METRIC_NAMES:
            found[TableColumn(split, metric)] = outcomes.metric_value(result, split, metric)
    found.update(
        {TRAIN_SECS: result.get("train_secs"), IMAGES_PER_SEC: result.get("images_per_sec")}
    )
    return {column: value for column, value in found.items() if value is not None}


def list_columns(rows: Sequence[RunRow]) -> list[TableColumn]:
    """Those of which a row has a figure, in the order of the table."""
    splits = [TableColumn(split, metric) for split in SPLITS for metric in METRIC_NAMES]
    names = [*METRIC_NAMES, "train secs"]
    papers = [TableColumn(PAPER, mark + name) for name in names for mark in ("", "Δ")]
    found = {column for row in rows for column in row.values}
    return [
        each for each in (PARAMETERS, *splits, TRAIN_SECS, IMAGES_PER_SEC, *papers) if each in found
    ]


def format_cell(row: RunRow, column: TableColumn) -> str:
    """A figure as people read it, with the deviation over folds where there are any."""
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
    """What all runs have unlike the base, and what each of them has besides."""
    common = flatten_settings(base.model_dump(mode="json"))
    unlike = [
        {key: value for key, value in row.settings.items() if value not in (None, common.get(key))}
        for row in rows
    ]
    shared = {
        key: value
        for key, value in (unlike[0] if len(rows) > 1 else {}).items()
        if all(key in own and own[key] == value for own in unlike)
    }
    short = _short_keys(list(rows[0].settings)) if rows else {}
    each = [{key: own[key] for key in own if key not in shared} for own in unlike]
    return _format_settings(shared, short), [_format_settings(own, short) for own in each]


def _format_settings(settings: Mapping[str, Any], short_keys: Mapping[str, str]) -> str:
    return " ".join(f"{short_keys[key]}={format_setting(value)}" for key, value in settings.items())


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each key, and where that is not its own the whole key."""
    last = {key: key.replace(".name", "").rpartition(".")[2] for key in keys}
    shared = Counter(last.values())
    return {key: part if shared[part] == 1 else key for key, part in last.items()}


def format_setting(value: Any) -> str:
    """A setting as people read it: what a search proposed has more digits than matter."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def describe_criterion(stage: StageOutcomes) -> Optional[str]:
    """In words, by what the best run is the best; None where there is no best."""
    best = next((one for one in stage.outcomes if one.trial.name == stage.best), None)
    if best is None or best.result is None:
        return None
    choose = stage.choose
    extreme = "lowest" if choose.sign > 0 else "highest"
    if outcomes.metric_value(best.result, choose.split, choose.metric) is None:
        return f"the {extreme} train {choose.metric}, as nothing was held out for validation"
    return f"the {extreme} {choose.split} {choose.metric}"
