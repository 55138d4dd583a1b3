"""The tables that jobs print at their end; the last line says where the result is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halftone import storage
from halftone.dataset.manifest import Manifest
from halftone.model_directory import CURVES, HISTORY, Card, Restart

_RATIOS = ("precision", "recall", "f1")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table in plain text: the first column to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = []
    for row in [header, ["-" * width for width in widths], *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row, widths)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
    return "\n".join(lines)


def of_dataset(made: Manifest, dataset: str, num_read: int) -> str:
    labels = made.labels
    rows: list[list[str]] = []
    for split, counts in made.counts.items():
        cells = [counts[label] for label in labels]
        rows.append([split, *(f"{cell:,}" for cell in cells), f"{sum(cells):,}"])
    lines = [table(["split", *labels, "rows"], rows), ""]
    lines.append(
        f"{made.inputs:,} images = {made.rows:,} rows + {made.rejects:,} rejects + "
        f"{made.duplicates:,} duplicates"
    )
    lines += _rejects(made.rejects_by_reason, made.rejects_files)
    if made.near_duplicates:
        done = {"drop": "dropped", "report": "kept"}[made.preprocess.near_duplicates]
        lines.append(
            f"{made.near_duplicates:,} near duplicates of images of an earlier split, {done}; "
            f"listed in {', '.join(made.near_duplicates_files)}"
        )
    lines += _ignored(made.ignored)
    if made.gone:
        lines.append(f"{made.gone:,} of them are no longer there, and kept; --prune forgets them")
    if num_read:
        lines.append(f"read in this run: {num_read:,}")
    else:
        lines.append("nothing new: no image was added or changed since the last run")
    lines.append(f"contact sheet: {storage.join(dataset, made.contact_sheet)}")
    lines.append(f"version {made.version}, fingerprint {made.fingerprint}")
    lines.append(f"dataset: {dataset}")
    return "\n".join(lines)


def of_model(card: Card, output: str) -> str:
    history = storage.read_json(storage.join(output, HISTORY))["epochs"]
    columns = _columns(history)
    rows = []
    for entry in history:
        mark = " *" if entry["epoch"] == card.best_epoch else "  "
        cells = [form.format(entry[name]) for name, form in columns.items()]
        rows.append([f"{entry['epoch']}{mark}", *cells])
    header = ["epoch", *(_UNITS.get(name, name) for name in columns)]
    lines = [table(header, rows), "", f"* the best epoch, kept as version {card.version}"]
    if card.restarts:
        times = f"{len(card.restarts)} time{'s' * (len(card.restarts) > 1)}"
        lines.append(f"restarted {times}: {'; '.join(map(_restarted, card.restarts))}")
    lines.append(f"curves: {storage.join(output, CURVES)}")
    lines.append(f"model: {output}")
    return "\n".join(lines)


# The last columns of a training's table, how their values are written, and what stands above.
_LAST = {"learning_rate": "{:.2g}", "images_per_sec": "{:,.0f}"}
_UNITS = {"learning_rate": "learning rate", "images_per_sec": "images/s"}


def _columns(history: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Names of what every epoch has a number for, each with how it is written."""
    names = [
        name
        for name in history[0]
        if all(type(entry.get(name)) in (int, float) for entry in history)
    ]
    metrics = {name: "{:.4f}" for name in names if name not in ("epoch", "secs", *_LAST)}
    return {**metrics, **{name: form for name, form in _LAST.items() if name in names}}


def _restarted(restart: Restart) -> str:
    place = f"after epoch {restart.epoch}" if restart.epoch else "before the first checkpoint"
    return f"{place}: {restart.message}"


def of_scores(result: Mapping[str, Any], output: str) -> str:
    rows = [
        [label, *(f"{values[name]:.4f}" for name in _RATIOS), f"{values['support']:,}"]
        for label, values in result["per_class"].items()
    ]
    return "\n".join(
        [
            table(["class", *_RATIOS, "rows"], rows),
            "",
            f"{result['split']}: {result['rows']:,} rows  {_overall(result)}",
            f"precision, recall and f1: {result['average']}",
            f"report: {storage.join(output, 'report.html')}",
            f"scores: {output}",
        ]
    )


def of_new_images(result: Mapping[str, Any], output: str) -> str:
    rows = [
        [label, f"{count:,}", f"{count / max(1, result['rows']):.2%}"]
        for label, count in result["predicted"].items()
    ]
    lines = [table(["predicted", "images", "share"], rows), ""]
    lines.append(
        f"{result['inputs']:,} images = {result['rows']:,} predictions + "
        f"{result['rejects']:,} rejects; scored in this run: {result['scored_now']:,}"
    )
    lines += _rejects(result["rejects_by_reason"], result["rejects_files"])
    lines += _ignored(result["ignored"])
    if result["labelled"]:
        measured = result["metrics"]
        overall = "  ".join(
            f"{name} {measured[name]:.4f}" for name in ("accuracy", *_RATIOS, "loss")
        )
        lines.append(f"{result['labelled']:,} have a label: {overall}")
    lines.append(f"model version {result['model_version']}")
    lines.append(f"scores: {output}")
    return "\n".join(lines)


def _overall(measured: Mapping[str, Any]) -> str:
    return "  ".join(f"{name} {measured[name]:.4f}" for name in ("accuracy", *_RATIOS, "loss"))


def _rejects(by_reason: Mapping[str, int], files: Sequence[str]) -> list[str]:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in by_reason.items())
    return [f"rejects: {reasons}; listed in {', '.join(files)}"] if by_reason else []


def _ignored(counts: Mapping[str, int]) -> list[str]:
    endings = ", ".join(f"{count:,} {ending}" for ending, count in sorted(counts.items()))
    return [f"ignored, as no image by preprocess.suffixes: {endings}"] if counts else []
