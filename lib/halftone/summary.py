"""The summaries that jobs print at the end; the last line is the location of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from halftone import printable, storage
from halftone.dataset import remarks
from halftone.dataset.manifest import MANIFEST_NAME, Manifest
from halftone.metrics.model import (
    ColumnSlices,
    ImageScores,
    Metrics,
    SliceScores,
    SplitScores,
)
from halftone.metrics.slices import OTHERS
from halftone.model_directory import CURVES, HISTORY, ModelInfo, Restart


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table as plain text: the first column left-aligned, the others right-aligned."""
    header, *rows = [[printable.escape(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = []
    for row in [header, ["-" * width for width in widths], *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row, widths)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
    return "\n".join(lines)


def format_dataset_summary(manifest: Manifest, dataset: str, num_changed: int) -> str:
    lines = [_format_counts(manifest, dataset), ""]
    lines.append(f"splits: {remarks.describe_split_method(manifest)}")
    lines += remarks.describe_small_classes(manifest)
    lines.append(
        f"{manifest.inputs:,} images = {manifest.rows:,} rows + {manifest.rejects:,} rejects + "
        f"{manifest.duplicates:,} duplicates"
    )
    lines += _description_lines(manifest.images_description)
    lines += _reject_lines(manifest.rejects_by_reason, manifest.rejects_files)
    if manifest.near_duplicates:
        num_dropped = manifest.near_duplicates - manifest.possible_label_errors
        is_dropping = manifest.preprocess.near_duplicates == "drop"
        action = f"{num_dropped:,} dropped" if is_dropping else "kept"
        lines.append(
            f"{manifest.near_duplicates:,} near duplicates of images of an earlier split, "
            f"{action}; listed in {', '.join(manifest.near_duplicates_files)}"
        )
    lines += remarks.describe_near_duplicates(manifest)
    lines += remarks.describe_splits(manifest)
    lines += _ignored_lines(manifest.ignored)
    if manifest.gone:
        lines.append(
            f"{manifest.gone:,} of them no longer exist, and are kept; --prune removes them"
        )
    if manifest.ungrouped:
        lines.append(
            f"{manifest.ungrouped:,} images have no group, and are assigned to splits by themselves"
        )
    if num_changed:
        lines.append(f"read in this run: {num_changed - manifest.moved:,}")
        if manifest.moved:
            lines.append(f"moved to another label or split in this run: {manifest.moved:,}")
    else:
        lines.append("nothing new: no image was added or changed since the last run")
    lines.append(f"contact sheet: {storage.join(dataset, manifest.contact_sheet)}")
    lines.append(f"version {manifest.version}, fingerprint {manifest.fingerprint}")
    lines.append(f"dataset: {dataset}")
    return _join_lines(lines)


# A table has a column per class up to this number of classes, then a row per class.
_MAX_LABEL_COLUMNS = 10
_MAX_CLASS_ROWS, _NUM_LARGEST = 20, 10


def _format_counts(manifest: Manifest, dataset: str) -> str:
    """Format the rows by split and class."""
    splits, labels = list(manifest.counts), manifest.labels
    if len(labels) <= _MAX_LABEL_COLUMNS:
        rows: list[list[str]] = []
        for split in splits:
            cells = [manifest.counts[split][label] for label in labels]
            rows.append([split, *(f"{cell:,}" for cell in cells), f"{sum(cells):,}"])
        return format_table(["split", *labels, "rows"], rows)
    by_label = {label: [manifest.counts[split][label] for split in splits] for label in labels}
    shown, note = _largest_and_smallest({label: sum(by_label[label]) for label in labels})
    rows = [
        [label, *(f"{cell:,}" for cell in [*by_label[label], sum(by_label[label])])]
        for label in shown
    ]
    totals = [sum(manifest.counts[split].values()) for split in splits]
    rows.append(["all", *(f"{total:,}" for total in [*totals, sum(totals)])])
    table = format_table(["class", *splits, "rows"], rows)
    return table + note.format(storage.join(dataset, MANIFEST_NAME))


def _largest_and_smallest(sizes: Mapping[str, int]) -> tuple[list[str], str]:
    """Return the classes to show and a note, with a place for the file that has all of them."""
    if len(sizes) <= _MAX_CLASS_ROWS:
        return list(sizes), ""
    ordered = sorted(sizes, key=lambda label: -sizes[label])
    note = f"\nthe {_NUM_LARGEST} largest and smallest of {len(sizes):,} classes; all are in {{}}"
    return [*ordered[:_NUM_LARGEST], *ordered[-_NUM_LARGEST:]], note


def format_model_summary(model_info: ModelInfo, output: str) -> str:
    """Format the best and the last epoch; a line for each was printed while they were trained."""
    history = storage.read_json(storage.join(output, HISTORY))["epochs"]
    formats = _column_formats(history)
    rows = []
    for entry in history:
        if entry["epoch"] not in (model_info.best_epoch, history[-1]["epoch"]):
            continue
        mark = " *" if entry["epoch"] == model_info.best_epoch else "  "
        cells = [
            "not finite" if entry[name] is None else template.format(entry[name])
            for name, template in formats.items()
        ]
        rows.append([f"{entry['epoch']}{mark}", *cells])
    header = ["epoch", *(_HEADINGS.get(name, name) for name in formats)]
    lines = [
        format_table(header, rows),
        "",
        f"* the best epoch{_rule_text(model_info)}, kept as version {model_info.version}",
    ]
    if len(rows) < len(history):
        lines.append(f"all {len(history)} epochs: {storage.join(output, HISTORY)}")
    lines += _freezing_lines(model_info, history)
    if model_info.restarts:
        times = f"{len(model_info.restarts)} time{'s' * (len(model_info.restarts) > 1)}"
        lines.append(f"restarted {times}: {'; '.join(map(_restart_text, model_info.restarts))}")
    lines.append(f"curves: {storage.join(output, CURVES)}")
    lines.append(f"model: {output}")
    return _join_lines(lines)


# Formats and headings of the last columns of a training's table.
_LAST_COLUMNS = {
    "trainable_parameters": "{:,}",
    "learning_rate": "{:.2g}",
    "images_per_sec": "{:,.0f}",
}
_HEADINGS = {
    "trainable_parameters": "trained",
    "learning_rate": "learning rate",
    "images_per_sec": "images/s",
}


def _column_formats(history: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the names of values that every epoch has, with their format strings.

    A value is a number, or None if it was not finite.
    """
    names = [
        name
        for name in history[0]
        if all(type(entry.get(name, "")) in (int, float, type(None)) for entry in history)
    ]
    metrics = {name: "{:.4f}" for name in names if name not in ("epoch", "secs", *_LAST_COLUMNS)}
    return {
        **metrics,
        **{name: template for name, template in _LAST_COLUMNS.items() if name in names},
    }


def _freezing_lines(model_info: ModelInfo, history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say how many parameters were trained, if layers were frozen."""
    train = model_info.config.train
    if train.freeze == "none":
        return []
    counts = [f"{entry['trainable_parameters']:,}" for entry in history]
    line = f"layers were frozen (train.freeze {train.freeze}): {counts[0]} parameters were trained"
    after = train.unfreeze_after_epochs
    if after is not None and len(history) > after:
        line += f", and from epoch {after + 1} on {counts[-1]}"
    return [line]


def _rule_text(model_info: ModelInfo) -> str:
    best_by = model_info.config.train.best_by
    return "" if best_by == "val_loss" else f" by {best_by}"


def _restart_text(restart: Restart) -> str:
    point = f"after epoch {restart.epoch}" if restart.epoch else "before the first checkpoint"
    return f"{point}: {restart.message}"


def format_scores_summary(scores: SplitScores, output: str) -> str:
    sizes = {label: values.support for label, values in scores.per_class.items()}
    shown, note = _largest_and_smallest(sizes)
    rows = [
        [
            label,
            *(f"{value:.4f}" for value in (values.precision, values.recall, values.f1)),
            f"{values.support:,}",
        ]
        for label in shown
        for values in [scores.per_class[label]]
    ]
    metrics_url = storage.join(output, "metrics.json")
    return _join_lines(
        [
            format_table(["class", "precision", "recall", "f1", "rows"], rows)
            + note.format(metrics_url),
            "",
            f"{scores.split}: {scores.rows:,} rows  {_overall_text(scores)}",
            *_description_lines(scores.images_description),
            f"precision, recall and f1: {scores.average}",
            *_views_lines(scores.views),
            *_slice_lines(scores.slices, metrics_url),
            f"report: {storage.join(output, 'report.html')}",
            f"scores: {output}",
        ]
    )


def format_image_scores_summary(scores: ImageScores, output: str) -> str:
    shown, note = _largest_and_smallest(scores.predicted)
    rows = [
        [label, f"{count:,}", f"{count / max(1, scores.rows):.2%}"]
        for label in shown
        for count in [scores.predicted[label]]
    ]
    table = format_table(["predicted", "images", "share"], rows)
    lines = [table + note.format(storage.join(output, "metrics.json")), ""]
    counts = f"{scores.inputs:,} images = {scores.rows:,} predictions + {scores.rejects:,} rejects"
    if scores.scored_now:
        lines.append(f"{counts}; scored in this run: {scores.scored_now:,}")
    else:
        lines += [counts, "nothing new: all images were scored before with this model"]
    lines += _reject_lines(scores.rejects_by_reason, scores.rejects_files)
    lines += _ignored_lines(scores.ignored)
    if scores.metrics is not None:
        lines.append(f"{scores.labelled:,} have a label: {_overall_text(scores.metrics)}")
    lines += _description_lines(scores.images_description)
    lines += _views_lines(scores.views)
    lines += _slice_lines(scores.slices, storage.join(output, "metrics.json"))
    lines.append(f"model version {scores.model_version}")
    lines += _prediction_lines(output)
    lines.append(f"report: {storage.join(output, 'report.html')}")
    lines.append(f"scores: {output}")
    return _join_lines(lines)


def _prediction_lines(output: str) -> list[str]:
    """Say where the predictions of raw images are, and how to read them in Python."""
    lines = []
    if "predictions.csv" in storage.list_names(output):
        lines.append(f"predictions: {storage.join(output, 'predictions.csv')}")
    files = storage.join(output, "predictions", "*", "part-*.parquet")
    if not storage.is_local(output):
        return [*lines, f"all probabilities: spark.read.parquet({files!r})"]
    read = f"pandas.concat(map(pandas.read_parquet, glob.glob({files!r})))"
    return [*lines, f"all probabilities: import glob, pandas; {read}"]


def _description_lines(images_description: Optional[str]) -> list[str]:
    return [f"the images are {images_description}"] if images_description else []


def _views_lines(views: Optional[str]) -> list[str]:
    is_averaged = views not in (None, "none")
    return [f"probabilities are means over views of each image ({views})"] if is_averaged else []


_NUM_WORST_SLICES = 3  # of each column


def _slice_lines(scores: Optional[SliceScores], metrics_url: str) -> list[str]:
    """Return a table of the worst slices of each column."""
    if scores is None:
        return []
    rows = [
        [
            f"{column.column}: {each.title}",
            f"{each.accuracy:.4f}",
            "{:.4f} to {:.4f}".format(*each.interval),
            f"{each.f1:.4f}",
            f"{each.rows:,}",
        ]
        for column in scores.columns
        for each in column.slices[:_NUM_WORST_SLICES]
    ]
    counts = ", ".join(map(_slice_count, scores.columns))
    table = format_table(["worst slices", "accuracy", "95% interval", "f1", "rows"], rows)
    return ["", table, f"slices: {counts}; all are in {metrics_url}", ""]


def _slice_count(column: ColumnSlices) -> str:
    others = [each for each in column.slices if each.kind == OTHERS]
    text = f"{len(column.slices):,} by {column.column}"
    return f"{text} (one is of {others[0].num_values:,} other values)" if others else text


def _overall_text(metrics: Metrics) -> str:
    return (
        f"accuracy {metrics.accuracy:.4f}  precision {metrics.precision:.4f}  "
        f"recall {metrics.recall:.4f}  f1 {metrics.f1:.4f}  loss {metrics.loss:.4f}"
    )


def _reject_lines(by_reason: Mapping[str, int], files: Sequence[str]) -> list[str]:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in by_reason.items())
    return [f"rejects: {reasons}; listed in {', '.join(files)}"] if by_reason else []


def _ignored_lines(counts: Mapping[str, int]) -> list[str]:
    names = ", ".join(
        f"{count:,} {printable.escape(name)}" for name, count in sorted(counts.items())
    )
    reason = "their names are not those of images (preprocess.suffixes)"
    return [f"ignored, because {reason}: {names}"] if counts else []


def _join_lines(lines: Sequence[str]) -> str:
    """Join lines and tables; other control characters, such as those of a path, are escaped."""
    return "\n".join(printable.escape(line, kept="\n") for line in lines)
