"""What a table of runs shows: a row for each run, its settings, its figures, and a paper's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from halftone.config import Config, flat
from halftone.dataset.splits import SPLITS, TEST
from halftone.experiment import outcomes
from halftone.experiment.outcomes import Outcome, StageOutcomes

METRICS = ("accuracy", "loss", "precision", "recall", "f1", "mistakes")
PAPER = "paper"
# Where a run is kept and what it is called is no difference between networks.
_NOT_SHOWN = ("name", "paths.", "tracking.", "spark.", "preprocess.catalogue", "splits.fold")


class Column(NamedTuple):
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


PARAMETERS, SECS, SPEED = Column("", "parameters"), Column("", "train secs"), Column("", "images/s")


class Row(NamedTuple):
    outcome: Outcome
    is_best: bool
    settings: dict[str, Any]  # by dotted key, those that the table is about
    figures: dict[Column, float]  # those that there are
    stds: dict[Column, float]  # of a run with folds

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

    def marked(self) -> str:
        """Its name as a table of text has it."""
        state = f" ({self.state()})" if self.state() else ""
        return f"{self.name()}{state}{' *' if self.is_best else ''}"


def differing(configs: Sequence[Config]) -> list[str]:
    """Dotted keys of settings that are not the same in all of the configs."""
    every = [flat(config.model_dump(mode="json")) for config in configs]
    keys = [key for one in every for key in one if not key.startswith(_NOT_SHOWN)]
    return [
        key
        for key in dict.fromkeys(keys)
        if any(one.get(key) != every[0].get(key) for one in every)
    ]


def of_stage(stage: StageOutcomes, base: Config) -> list[Row]:
    """A row for each run, with the settings in which it or another differs from the base."""
    keys = differing([base, *(one.trial.config for one in stage.outcomes)])
    return [_row(one, keys, one.trial.name == stage.best) for one in stage.outcomes]


def _row(outcome: Outcome, keys: Sequence[str], is_best: bool) -> Row:
    settings = flat(outcome.trial.config.model_dump(mode="json"))
    result = outcome.result or {}
    figures = _figures(result)
    for metric in (*METRICS, "train_secs"):
        paper = getattr(outcome.trial.paper, metric)
        ours = figures.get(SECS if metric == "train_secs" else Column(TEST, metric))
        name = metric.replace("_", " ")
        if paper is not None:
            figures[Column(PAPER, name)] = paper
            if ours is not None:
                figures[Column(PAPER, f"Δ{name}")] = ours - paper
    own = {key: settings.get(key) for key in keys}
    return Row(outcome, is_best, own, figures, _figures(result.get("std", {})))


def _figures(result: outcomes.Result) -> dict[Column, float]:
    found = {PARAMETERS: result.get("parameters")}
    for split in SPLITS:
        for metric in METRICS:
            found[Column(split, metric)] = outcomes.figure(result, split, metric)
    found.update({SECS: result.get("train_secs"), SPEED: result.get("images_per_sec")})
    return {column: value for column, value in found.items() if value is not None}


def columns(rows: Sequence[Row]) -> list[Column]:
    """Those of which a row has a figure, in the order of the table."""
    splits = [Column(split, metric) for split in SPLITS for metric in METRICS]
    names = [*METRICS, "train secs"]
    papers = [Column(PAPER, mark + name) for name in names for mark in ("", "Δ")]
    found = {column for row in rows for column in row.figures}
    return [each for each in (PARAMETERS, *splits, SECS, SPEED, *papers) if each in found]


def written(row: Row, column: Column) -> str:
    """A figure as people read it, with the deviation over folds where there are any."""
    if column not in row.figures:
        return "-"
    text = _number(column, row.figures[column])
    if column in row.stds:
        text += f" ±{_number(column, row.stds[column])}"
    return text


def _number(column: Column, value: float) -> str:
    sign = "+" if column.is_difference() else ""
    metric = column.metric()
    if metric == "loss":
        return f"{value:{sign}.4g}"
    if metric == "train secs":
        return f"{value:{sign},.1f}"
    if metric in METRICS and metric != "mistakes":
        return f"{value:{sign}.4f}"
    return f"{value:{sign},.1f}" if value % 1 and metric == "mistakes" else f"{value:{sign},.0f}"


def own_settings(rows: Sequence[Row], base: Config) -> tuple[str, list[str]]:
    """What all runs have unlike the base, and what each of them has besides."""
    common = flat(base.model_dump(mode="json"))
    unlike = [
        {key: value for key, value in row.settings.items() if value not in (None, common.get(key))}
        for row in rows
    ]
    shared = {
        key: value
        for key, value in (unlike[0] if len(rows) > 1 else {}).items()
        if all(key in own and own[key] == value for own in unlike)
    }
    short = _short(list(rows[0].settings)) if rows else {}
    each = [{key: own[key] for key in own if key not in shared} for own in unlike]
    return _as_text(shared, short), [_as_text(own, short) for own in each]


def _as_text(settings: Mapping[str, Any], short: Mapping[str, str]) -> str:
    return " ".join(f"{short[key]}={compact(value)}" for key, value in settings.items())


def _short(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each key, and where that is not its own the whole key."""
    last = {key: key.replace(".name", "").rpartition(".")[2] for key in keys}
    shared = Counter(last.values())
    return {key: part if shared[part] == 1 else key for key, part in last.items()}


def compact(value: Any) -> str:
    """A setting as people read it: what a search proposed has more digits than matter."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def chosen_by(stage: StageOutcomes) -> Optional[str]:
    """In words, by what the best run is the best; None where there is no best."""
    best = next((one for one in stage.outcomes if one.trial.name == stage.best), None)
    if best is None or best.result is None:
        return None
    choose = stage.choose
    extreme = "lowest" if choose.sign > 0 else "highest"
    if outcomes.figure(best.result, choose.split, choose.metric) is None:
        return f"the {extreme} train {choose.metric}, as nothing was held out for validation"
    return f"the {extreme} {choose.split} {choose.metric}"
