"""A trained and scored model as one HTML page that needs no network, no script and no font.

What the page says is gathered here, a function a section; how it looks is in report.html.j2. A
new section is one more function in `_sections` and one more block in the template.
"""

from __future__ import annotations

import json
import pkgutil
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined, Template

from halftone import metrics as scores
from halftone import plots, splits
from halftone.config import Config, flat
from halftone.manifest import Manifest
from halftone.model_directory import Card

_TEMPLATE = "report.html.j2"
_LEVELS = 10  # shades of the confusion matrix
_NUMBERS_UP_TO = 20  # classes; a matrix of more is drawn without numbers
_CONFUSIONS_SHOWN = 10


class Picture(NamedTuple):
    """A misclassified image."""

    key: str
    label: str
    prediction: str
    probability: float  # of the prediction
    pixels: npt.NDArray[np.uint8]  # (H, W, C) uint8, C 1 (grey) or 3 (RGB)


def render(
    card: Card,
    history: Sequence[Mapping[str, Any]],
    manifest: Manifest,
    metrics: Mapping[str, Any],
    mistakes: Sequence[Picture],
) -> str:
    """Return the page. The same arguments give the same text.

    Args:
        history: an entry an epoch, as in history.json.
        manifest: of the dataset that was scored.
        metrics: as in metrics.json.
        mistakes: shown with the most confident first; may be a choice of all that there are.
    """
    return _template().render(
        name=card.config.name,
        card=card,
        manifest=manifest,
        metrics=metrics,
        ramps={"light": plots.ramp(plots.LIGHT, _LEVELS), "dark": plots.ramp(plots.DARK, _LEVELS)},
        **_sections(card, history, manifest, metrics, mistakes),
    )


def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        count=_count,
        percent=percent,
        ratio=_ratio,
        moment=_moment,
        duration=_duration,
        size=_size,
    )
    # Not Jinja's own loader for packages: it cannot always read from a zip on sys.path.
    source = pkgutil.get_data(__name__, _TEMPLATE)
    assert source is not None, f"{_TEMPLATE} is missing from the package"
    return environment.from_string(source.decode("utf-8"))


def percent(share: float) -> str:
    """Write a share of 1 in percent; only what is all or nothing is shown as 100 or 0."""
    if 0 < share < 0.0001:
        return "<0.01%"
    if 0.9999 < share < 1:
        return ">99.99%"
    return f"{100 * share:.2f}%"


def _sections(
    card: Card,
    history: Sequence[Mapping[str, Any]],
    manifest: Manifest,
    metrics: Mapping[str, Any],
    mistakes: Sequence[Picture],
) -> dict[str, Any]:
    return {
        "verdict": _verdict(metrics),
        "caution": _caution(card, manifest, metrics),
        "settings": _changed(card.config),
        "data": _data(manifest),
        "curves": _curves(card.best_epoch, history),
        "history": history,
        "with_validation": any("val_loss" in entry for entry in history),
        "speed": _median([entry["images_per_sec"] for entry in history]),
        "confusion": _confusion(metrics),
        "confusions": _confusions(metrics),
        "mistakes": _mistakes(mistakes, manifest.images),
    }


def _verdict(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What was right, how sure that is, and what it is worth against no model at all."""
    rows, confusion = metrics["rows"], metrics["confusion"]
    right = sum(confusion[number][number] for number in range(len(confusion)))
    support = [sum(row) for row in confusion]
    commonest = max(range(len(support)), key=lambda number: support[number])
    return {
        "right": right,
        "wrong": rows - right,
        "interval": scores.wilson(right, rows),
        "commonest": metrics["labels"][commonest],
        "baseline": support[commonest] / rows,
    }


def _caution(card: Card, manifest: Manifest, metrics: Mapping[str, Any]) -> Optional[str]:
    """Why the numbers may flatter the model; None where they were made as they should be."""
    if metrics["split"] == splits.TRAIN:
        return (
            "The model was trained on images of this split: the numbers say little about "
            "images that it has never seen."
        )
    if metrics["split"] == splits.VALIDATION:
        return (
            "The epoch was chosen on images of this split: expect slightly lower numbers on "
            "images that had no part in that."
        )
    ours = (card.fingerprint, card.config.seed, card.config.splits)
    if metrics["fingerprint"] != ours[0] and (manifest.seed, manifest.splits) != ours[1:]:
        return (
            "The model was trained on another dataset, and on other splits: some of these images "
            "may have been among those that it was trained on."
        )
    return None


def _changed(config: Config) -> list[tuple[str, str, str]]:
    """(key, value, default) of each setting that differs from its default.

    The run's name has its own place on the page. Paths and Spark's settings say where and how it
    ran, not what; Spark's may hold passwords, and a page is passed on.
    """
    family = type(config.train.model)()
    defaults = {
        **flat(Config().model_dump(mode="json")),
        # Another family than the default one differs in its name, and from its own defaults.
        **flat(family.model_dump(mode="json", exclude={"name"}), "train.model."),
    }
    values = flat(config.model_dump(mode="json", exclude={"name", "paths", "spark"}))
    return [
        (key, _text(value), _text(defaults[key]))
        for key, value in values.items()
        if value != defaults[key]
    ]


def _text(value: Any) -> str:
    """A setting as a YAML file would state it."""
    return value if isinstance(value, str) else json.dumps(value)


def _data(manifest: Manifest) -> dict[str, Any]:
    names = [name for name in splits.SPLITS if name in manifest.counts]
    table = [
        (label, [manifest.counts[name].get(label, 0) for name in names])
        for label in manifest.labels
    ]
    return {
        "splits": names,
        "table": table,
        "totals": [sum(manifest.counts[name].values()) for name in names],
        "rejects": _largest_first(manifest.rejects_by_reason),
        "ignored": _largest_first(manifest.ignored),
        "size_bytes": sum(file.size_bytes for file in manifest.files),
    }


def _largest_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _curves(chosen: int, history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The figures of loss and accuracy, each with what it shows in words."""
    epochs = [entry["epoch"] for entry in history]
    mark = chosen if chosen in epochs else None
    figures = []
    for name in ("loss", "accuracy") if history else ():
        lines = {
            "train": [entry.get(name) for entry in history],
            "validation": [entry.get(f"val_{name}") for entry in history],
        }
        figure = plots.curve(name.capitalize(), epochs, lines["train"], lines["validation"], mark)
        parts = [
            f"{line} from {_ratio(values[0])} to {_ratio(values[-1])}"
            for line, values in lines.items()
            if values[0] is not None and values[-1] is not None
        ]
        alt = f"{name.capitalize()} over epochs {epochs[0]} to {epochs[-1]}: {', '.join(parts)}"
        figures.append({"figure": figure, "alt": f"{alt}; chosen is epoch {chosen}."})
    return figures


def _confusion(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Counts with a level of shade each, or a picture where there are too many classes."""
    counts = metrics["confusion"]
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    if len(counts) > _NUMBERS_UP_TO:
        return {"figure": plots.heat_map(shares), "table": []}
    # Level 0 is kept for no image at all: a rare mistake is to be seen.
    table = [
        (
            label,
            [
                (count, 1 + int(share * (_LEVELS - 2)) if count else 0)
                for count, share in zip(row, shares_of_row)
            ],
        )
        for label, row, shares_of_row in zip(metrics["labels"], counts, shares)
    ]
    return {"figure": None, "table": table}


def _confusions(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is most often taken for what; nothing new where there are two classes."""
    labels, counts = metrics["labels"], metrics["confusion"]
    if len(labels) < 3:
        return []
    pairs = [
        {"label": labels[i], "prediction": labels[j], "count": count, "share": count / sum(row)}
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: -pair["count"])[:_CONFUSIONS_SHOWN]


def _mistakes(pictures: Sequence[Picture], images: str) -> list[dict[str, Any]]:
    """The most confident first, with the path below the folder of images."""
    folder = images.rstrip("/") + "/"
    return [
        {
            "label": picture.label,
            "prediction": picture.prediction,
            "probability": picture.probability,
            "path": picture.key[len(folder) :] if picture.key.startswith(folder) else picture.key,
            "shown": plots.picture(picture.pixels),
        }
        for picture in sorted(pictures, key=lambda picture: (-picture.probability, picture.key))
    ]


def _median(values: Sequence[float]) -> Optional[float]:
    return statistics.median(values) if values else None


def _count(number: int) -> str:
    return f"{number:,}"


def _ratio(value: float) -> str:
    """As the jobs print it."""
    return f"{value:.4f}"


def _moment(text: str) -> str:
    """An ISO 8601 time in UTC, for people; whatever else it is, as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _duration(secs: float) -> str:
    if secs < 60:
        return f"{secs:.1f} s"
    minutes, seconds = divmod(round(secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.1f} MiB"
