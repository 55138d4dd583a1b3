"""The table of an experiment: our figures, a paper's beside them, in three forms."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Optional

from halftone import storage, summary
from halftone.config import Config, flat
from halftone.experiment.run_job import Outcome
from halftone.experiment.spec import Spec

MARKDOWN, CSV = "table.md", "table.csv"
_SPLITS = ("train", "validation", "test")
_METRICS = ("accuracy", "loss")
# Where a run is kept and what it is called is no difference between networks.
_NOT_SHOWN = ("name", "paths.", "tracking.", "spark.", "preprocess.catalogue")

Row = dict[str, Any]  # by column; None where there is no figure


def best(outcomes: Sequence[Outcome]) -> Optional[str]:
    """The name of the run of the lowest validation loss; None where no run has one."""
    losses = {
        one.trial.name: one.result["validation"]["loss"]
        for one in outcomes
        if one.result and one.result["validation"]["loss"] is not None
    }
    return min(losses, key=lambda name: losses[name]) if losses else None


def differing(configs: Sequence[Config]) -> list[str]:
    """Dotted keys of settings that are not the same in all of the configs."""
    every = [flat(config.model_dump(mode="json")) for config in configs]
    keys = [key for one in every for key in one if not key.startswith(_NOT_SHOWN)]
    return [
        key
        for key in dict.fromkeys(keys)
        if any(one.get(key) != every[0].get(key) for one in every)
    ]


def rows(outcomes: Sequence[Outcome], base: Config) -> list[Row]:
    """A row for each run, with the same columns: settings, figures, the paper's, differences."""
    keys = differing([base, *(one.trial.config for one in outcomes)])
    marked = best(outcomes)
    of_paper = [
        name
        for name in _METRICS
        if any(getattr(one.trial.paper, name) is not None for one in outcomes)
    ]
    return [_row(one, keys, of_paper, one.trial.name == marked) for one in outcomes]


def _row(outcome: Outcome, keys: Sequence[str], of_paper: Sequence[str], is_best: bool) -> Row:
    settings = flat(outcome.trial.config.model_dump(mode="json"))
    result = outcome.result or {}
    row: Row = {"run": outcome.trial.name, "best": is_best}
    row.update({key: settings.get(key) for key in keys})
    row["parameters"] = result.get("parameters")
    for split in _SPLITS:
        for name in _METRICS:
            row[f"{split} {name}"] = result.get(split, {}).get(name)
    row["train secs"], row["images/s"] = result.get("train_secs"), result.get("images_per_sec")
    for name in of_paper:
        paper, ours = getattr(outcome.trial.paper, name), row[f"test {name}"]
        row[f"paper {name}"] = paper
        row[f"{name} - paper"] = None if None in (paper, ours) else ours - paper
    return row


def as_csv(made: Sequence[Row]) -> str:
    """All columns, a setting in each, numbers in full."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(made[0]), lineterminator="\n")
    writer.writeheader()
    for row in made:
        writer.writerow({key: _plain(value) for key, value in row.items()})
    return text.getvalue()


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, dict, bool)) else value


def cells(made: Sequence[Row], base: Config) -> tuple[list[str], list[list[str]]]:
    """The header and the cells as they are read: settings that are not the base's in one cell."""
    common = flat(base.model_dump(mode="json"))
    settings = [key for key in made[0] if _is_setting(key)]
    shown = [key for key in made[0] if key not in ("run", "best", *settings)]
    short = _short(settings)
    body = []
    for row in made:
        mark = " *" if row["best"] else ""
        own = " ".join(
            f"{short[key]}={_compact(row[key])}"
            for key in settings
            if row[key] is not None and row[key] != common.get(key)
        )
        body.append([f"{row['run']}{mark}", own or "-", *(_figure(key, row[key]) for key in shown)])
    return ["run", "settings", *shown], body


def _is_setting(key: str) -> bool:
    return key == "seed" or "." in key


def _short(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each key, and where that is not its own the whole key."""
    last = {key: key.replace(".name", "").rpartition(".")[2] for key in keys}
    shared = Counter(last.values())
    return {key: part if shared[part] == 1 else key for key, part in last.items()}


def _compact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _figure(column: str, value: Optional[float]) -> str:
    if value is None:
        return "-"
    if column.endswith("- paper"):
        return f"{value:+.4f}" if column.startswith("accuracy") else f"{value:+.4g}"
    if column.endswith("accuracy"):
        return f"{value:.4f}"
    if column.endswith("loss"):
        return f"{value:.4g}"
    return f"{value:,.1f}" if column == "train secs" else f"{value:,.0f}"


def as_text(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    return summary.table(header, body)


def as_markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---|---" + "|--:" * (len(header) - 2) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in body)])


def remarks(
    spec: Spec, outcomes: Sequence[Outcome], images: str, shrunk: Sequence[str]
) -> list[str]:
    """What must be read with the table: whose images, what was shrunk, what a paper left open."""
    kind = "drawn by code (synthetic): they say nothing about real ones" if spec.synthetic else ""
    lines = [f"experiment: {spec.name}" + f" ({spec.about})" * bool(spec.about)]
    lines.append(f"images: {', '.join(filter(None, [images, spec.source, kind]))}")
    if shrunk:
        lines.append(f"shrunk by {', '.join(shrunk)}: not to be compared with a paper's figures")
    if best(outcomes) is not None:
        lines.append("* the best run: the lowest validation loss")
    lines += [f"{one.trial.name}: {one.trial.note}" for one in outcomes if one.trial.note]
    return lines


def write(
    spec: Spec,
    base: Config,
    outcomes: Sequence[Outcome],
    output: str,
    shrunk: Sequence[str] = (),
) -> str:
    """Write both tables to `output`; return the table and its remarks as a terminal shows them."""
    made = rows(outcomes, base)
    header, body = cells(made, base)
    said = remarks(spec, outcomes, str(base.paths.images), shrunk)
    failed = [f"failed: {one.trial.name}: {one.error}" for one in outcomes if one.error]
    page = [f"# {spec.name}", "", as_markdown(header, body), ""]
    page += [f"- {line.removeprefix('* ')}" for line in [*said, *failed]]
    storage.write_bytes(storage.join(output, MARKDOWN), ("\n".join(page) + "\n").encode())
    storage.write_bytes(storage.join(output, CSV), as_csv(made).encode())
    places = [f"table: {storage.join(output, name)}" for name in (MARKDOWN, CSV)]
    return "\n".join([as_text(header, body), "", *said, *failed, *places])
