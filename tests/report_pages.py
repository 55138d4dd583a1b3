"""Pages of drawn results, and a reader of them, for the tests of the report."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from typing import Any, Optional

import numpy as np

from drawn_predictions import calibrated
from halftone import report
from halftone.config import Config
from halftone.dataset.manifest import Manifest
from halftone.metrics.examples import Example, Examples
from halftone.metrics.model import Metrics, SliceScores, SplitScores
from halftone.metrics.slices import SliceCounts, build_column
from halftone.metrics.summarise import confusion_metrics, summarise
from halftone.model_directory import ModelInfo
from halftone.report import Baseline, ReportInputs, ReportReject

FACES = ["comics", "faces"]
TEN = [f"class {number}" for number in range(10)]
HUNDRED = [f"class {number:02d}" for number in range(100)]
HOSTILE = ["<script>alert(1)</script>", "a \"very\" 'long' & unbroken_" + "label" * 30]
# Tags that never close.
VOID = {"meta", "link", "img", "input", "source", "br", "wbr"}
_SVG = "data:image/svg+xml;base64,"


class Page(HTMLParser):
    """Tags with their attributes, text by tag, and whether everything that opens closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Optional[str]]]] = []
        self.text = ""
        self.css = ""
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.css += data
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, Optional[str]]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def headings(self) -> list[str]:
        return [str(attributes["id"]) for attributes in self.all("h2")]

    def svgs(self) -> list[str]:
        uris = [a.get("src") or a.get("srcset") or "" for n, a in self.tags if n in VOID]
        return [svg(uri) for uri in uris if uri.startswith(_SVG)]

    def alts(self) -> list[str]:
        return [str(image["alt"]) for image in self.all("img")]

    def words(self) -> str:
        return " ".join(self.text.split())


def a_card(labels: list[str], **changes: Any) -> ModelInfo:
    config = changes.pop("config", Config())
    values = {
        "schema_version": 1,
        "halftone_version": "0.1.0",
        "created": "2024-05-04T10:20:30+00:00",
        "version": "f3549667dfd5a49a",
        "network": "network-f3549667dfd5a49a.keras",
        "labels": labels,
        "pixels": config.pixels,
        "fingerprint": "d47f2ba86d75",
        "best_epoch": 3,
        "ranks": 1,
        "train_secs": 69.8,
        "origin": {},
        "config": config,
    }
    return ModelInfo(**{**values, **changes})


def a_manifest(labels: list[str], **changes: Any) -> Manifest:
    config = Config()
    counts = {
        split: dict.fromkeys(labels, rows)
        for split, rows in (("train", 1800), ("validation", 100), ("test", 200))
    }
    values = {
        "schema_version": 1,
        "halftone_version": "0.1.0",
        "created": "2024-05-04T10:00:00+00:00",
        "seed": 0,
        "pixels": config.pixels,
        "splits": config.splits,
        "preprocess": config.preprocess,
        "images": "/data/images",
        "labels": labels,
        "inputs": 2100 * len(labels),
        "rows": 2100 * len(labels),
        "rejects": 0,
        "duplicates": 0,
        "ignored": {},
        "rejects_by_reason": {},
        "counts": counts,
        "version": 1,
        "gone": 0,
        "near_duplicates": 0,
        "near_duplicates_files": [],
        "contact_sheet": "contact_sheets/a.png",
        "fingerprint": "d47f2ba86d75",
        "files": [],
        "rejects_files": [],
        "duplicates_files": [],
    }
    return Manifest(**{**values, **changes})


def a_history(epochs: int, validation: bool = True) -> list[dict[str, Any]]:
    history = []
    for epoch in range(1, epochs + 1):
        entry = {"epoch": epoch, "loss": 1 / epoch, "accuracy": 1 - 0.4 / epoch}
        if validation:
            entry.update(val_loss=1.5 / epoch, val_accuracy=1 - 0.5 / epoch)
        history.append({**entry, "secs": 2.5, "images_per_sec": 1520.4})
    return history


def old_metrics(confusion: list[list[int]], labels: list[str], **changes: Any) -> SplitScores:
    """Scores from before metrics.json had areas, intervals, means and curves."""
    by_count = confusion_metrics(confusion, labels).to_json()
    content = {name: by_count[name] for name in by_count if name not in ("macro", "weighted")}
    content["loss"] = 31.0 / sum(map(sum, confusion))
    return SplitScores.model_validate({**content, **PROVENANCE, **changes})


def changed(scores: SplitScores, **changes: Any) -> SplitScores:
    """Return the scores with other values for some keys of the file."""
    return SplitScores.model_validate({**scores.to_json(), **changes})


PROVENANCE: dict[str, Any] = {
    "run": "0123456789abcdef",
    "split": "test",
    "model_version": "f3549667dfd5a49a",
    "fingerprint": "d47f2ba86d75",
    "predictions": ["predictions/0123456789abcdef/a.parquet"],
    "scored_at": "2024-05-04T11:00:00+00:00",
    "secs": 12.34,
}


def spread(classes: int) -> list[list[int]]:
    """200 images a class, 180 right, the rest taken for the next class."""
    confusion = [[0] * classes for _ in range(classes)]
    for number in range(classes):
        confusion[number][number] = 180
        confusion[number][(number + 1) % classes] = 20
    return confusion


def some_slices(labels: list[str], num_values: int = 2, column: str = "camera") -> SliceScores:
    """Value n of a column has n + 10 of 100 rows correct; ten rows are in no catalogue."""
    values = [
        SliceCounts("value", f"v{number}", 100, number + 10, 0.25, labels[0], 0.125, 40)
        for number in range(num_values)
    ]
    missing = SliceCounts("not in the catalogue", None, 10, 10, 1.0, labels[1], 1.0, 10)
    slices = build_column(column, [*values, missing], num_values)
    rows = sum(each.rows for each in slices.slices)
    return SliceScores(catalogue="/c.csv", digest="d", rows=rows, columns=[slices])


def some_mistakes(labels: list[str], side_px: int = 64, channels: int = 1) -> list[Example]:
    pixels = np.arange(side_px * side_px * channels, dtype=np.uint32) % 251
    shaped = pixels.astype(np.uint8).reshape(side_px, side_px, channels)
    return [
        an_example(f"{labels[0]}/{number}.jpg", labels[0], labels[1], 0.5 + number / 10, shaped)
        for number in (2, 1, 0)
    ]


def an_example(
    path: str, label: str, prediction: str, probability: float, pixels: np.ndarray
) -> Example:
    key = f"/data/images/{path}"
    return Example(key, label, prediction, probability, probability - 0.5, pixels)


def full_metrics(labels: list[str], rows: int = 2000, **changes: Any) -> SplitScores:
    """Scores as metrics.json holds them now, of a model that is overconfident."""
    metrics = drawn_metrics(
        labels, rows, changes.pop("threshold", ("0.5", 0.5)), changes.pop("temperature", 1.0)
    )
    return SplitScores.model_validate({**metrics.to_json(), **PROVENANCE, **changes})


def drawn_metrics(
    labels: list[str], rows: int, threshold: tuple[str, float], temperature: float
) -> Metrics:
    predictions = calibrated(7, rows, len(labels), sharpness=1.6)
    rule, value = threshold
    return summarise(
        predictions.accumulate(value),
        labels,
        threshold=value,
        rule=rule,
        temperature=temperature,
        replicates=50,
    )


def a_page(labels: list[str], **changes: Any) -> str:
    """Render a page; without a history, whose figures take most of the time, unless given."""
    examples = Examples(
        tuple(changes.pop("mistakes", some_mistakes(labels))),
        tuple(changes.pop("least_certain", ())),
        tuple(changes.pop("right", ())),
    )
    name, baseline = changes.pop("name", "old"), changes.pop("baseline", None)
    inputs = {
        "model_info": changes.pop("card", a_card(labels)),
        "history": changes.pop("history", []),
        "manifest": changes.pop("manifest", a_manifest(labels)),
        "scores": changes.pop("metrics", old_metrics(spread(len(labels)), labels)),
        "examples": examples,
        "rejects": [ReportReject(*reject) for reject in changes.pop("rejects", ())],
        "baseline": baseline and Baseline(name, baseline),
        **changes,
    }
    return report.render_report(ReportInputs(**inputs))


def read(labels: list[str], **changes: Any) -> Page:
    return Page(a_page(labels, **changes))


def svg(uri: str) -> str:
    return base64.b64decode(uri[len(_SVG) :]).decode()


def noise(count: int, side_px: int, channels: int, seed: int = 1) -> list[np.ndarray]:
    """Pictures that no compression makes smaller."""
    rng = np.random.default_rng(seed)
    shape = (count, side_px, side_px, channels)
    return list(rng.integers(0, 256, shape, dtype=np.uint8))
