"""The page of a run: what the gate compared, from scores, shards and the journal."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import browser
from halftone import arrow, storage
from halftone.dataset import manifest
from halftone.locking import lock
from halftone.metrics.model import SliceScores
from halftone.retrain import comparison_page, page
from halftone.retrain.comparison_page import RunPages, SliceChange
from halftone.retrain.state.journal import Journal
from halftone.scoring import predictions
from halftone.scoring.predict import PredictorSettings
from report_pages import Page, old_metrics, some_slices
from retrain_outcomes import outcome

LABELS = ["lying", "upright"]
MEASURES = {side: {"accuracy": 0.5, "f1": 0.5, "loss": 1.0} for side in ("champion", "challenger")}
DRIFT = {
    "level": "warn",
    "reason": "pixel mean (PSI 0.12)",
    "findings": [{"what": "pixel mean", "psi": 0.12, "by_chance": 0.05, "level": "warn"}],
    "embeddings": {
        "champion": "v0.0",
        "rows": 1200,
        "accuracy": 0.8312,
        "by_chance": 0.545,
        "level": "warn",
    },
}


def write_scores(folder: Path, dataset: Path, answer: str, slices: SliceScores) -> str:
    """Write scores of a model that always gives the same answer."""
    data = manifest.read_manifest(str(dataset))
    class_id, confusion, files = LABELS.index(answer), np.zeros((2, 2), int), []
    for number, shard in enumerate(manifest.read_shards(str(dataset), data, "validation")):
        rows = storage.read_table(str(dataset / shard.path), ["key", "label"])
        shares = np.full((rows.num_rows, 2), 0.25, np.float32)
        shares[:, class_id] = 0.75
        predictor = PredictorSettings("", "v1", tuple(LABELS), (1, 1, 1), 1, 1)
        table = predictions.prediction_table(predictor, rows["key"], rows["label"], shares, "f")
        files.append(f"predictions/{number}.parquet")
        storage.write_table(str(folder / files[-1]), table)
        for label in arrow.index_in(rows["label"], arrow.string_array(LABELS)):
            confusion[label, class_id] += 1
    scores = old_metrics(
        confusion.tolist(), LABELS, split="validation", predictions=files, slices=slices.to_json()
    )
    storage.write_json(str(folder / "metrics.json"), scores.to_json())
    return str(folder)


@pytest.fixture
def run(tmp_path: Path, dataset: Path) -> Journal:
    """A run whose models were compared on the validation split."""
    now = some_slices(LABELS)
    (column,) = now.columns
    before = [
        each.model_copy(update={"accuracy": each.accuracy + 0.05 * (each.value == "v1")})
        for each in column.slices
    ]
    champion = now.model_copy(update={"columns": [column.model_copy(update={"slices": before})]})
    entries: dict[str, Any] = {
        "snapshot": {"dataset": str(dataset)},
        "drift": DRIFT,
        "score": {
            "champion": write_scores(tmp_path / "a", dataset, "lying", champion),
            "challenger": write_scores(tmp_path / "b", dataset, "upright", now),
        },
        "gate": {"action": "keep", "reason": "not better"},
    }
    with lock.hold_lock(str(tmp_path / "retrain"), "retrain", 600.0, print) as held:
        journal = Journal(str(tmp_path / "retrain"), 7, held)
        for name, entry in entries.items():
            journal.record(name, entry)
    return journal


OUTCOME = outcome(
    7, "kept", "1", challenger="2", champion_before="1", measures=MEASURES, drift=DRIFT
)


def job(tmp_path: Path) -> Any:
    return SimpleNamespace(
        registry=SimpleNamespace(name="stripes"),
        root=str(tmp_path / "retrain"),
        session=lambda: pytest.fail("Spark was started"),
    )


@pytest.fixture
def text(tmp_path: Path, run: Journal) -> str:
    url = comparison_page.write_comparison(job(tmp_path), run, OUTCOME)
    assert url == f"{tmp_path}/retrain/nights/000007/comparison.html"
    return Path(url).read_text()


def test_the_page_of_a_run(text: str, dataset: Path) -> None:
    read = Page(text)
    counts = manifest.read_manifest(str(dataset)).counts["validation"]
    lost, won = counts["lying"], counts["upright"]
    assert read.headings() == ["sides", "slices", "drift"]
    assert read.rows[1:3] == [["Champion right", "0", str(lost)], ["Champion wrong", str(won), "0"]]
    assert "Challenger 2 against champion 1: kept, reason 7." in read.words()
    assert f"{lost} of {lost}, the most confident mistakes first" in read.words()
    alts = [alt for alt in read.alts() if alt.startswith("An image")]
    both = "taken for lying by the champion and for upright by the challenger"
    assert alts == [
        *[f"An image of class lying, {both}"] * lost,
        *[f"An image of class upright, {both}"] * won,
    ]
    assert "champion: lying 75.00%" in read.words()
    assert "lying/0" in read.words()
    slices = [row for row in read.rows if row[0] in ("v0", "v1", "(not in the catalogue)")]
    assert [row[:4] for row in slices] == [
        ["v1", "0.1600", "0.1100", "\N{MINUS SIGN}0.0500"],
        ["v0", "0.1000", "0.1000", "0.0000"],
        ["(not in the catalogue)", "1.0000", "1.0000", "0.0000"],
    ]
    assert read.rows[-1] == ["pixel mean", "0.1200", "0.0500", "warn"]
    assert (
        "a classifier of new and earlier images is right for 83.12% of 1,200 images; by chance it "
        "could be 54.50%. Level: warn." in read.words()
    )
    assert [link["href"] for link in read.all("a")] == [
        *("../../index.html", "#sides", "#slices", "#drift"),
    ]


@pytest.mark.needs("chromium")
def test_the_page_fits_a_small_screen(text: str, tmp_path: Path) -> None:
    assert browser.measure_layout(text, 390, tmp_path) == {
        "beyond": 0,
        "images": len(Page(text).all("img")),
        "broken": 0,
        "sections": 3,
    }


def test_the_page_of_all_runs_links_to_it_and_to_the_reports(text: str, tmp_path: Path) -> None:
    past = [outcome(6, "kept", "1", measures=MEASURES), OUTCOME]
    scores = tmp_path / "retrain" / "nights" / "000007" / "scores"
    scores.mkdir()
    reports = {
        side: f"nights/000007/scores/{side}/report.html" for side in ("champion", "challenger")
    }
    pages = comparison_page.list_run_pages(str(tmp_path / "retrain"), past)
    assert pages == {7: RunPages("nights/000007/comparison.html", reports)}
    index = page.render_page("stripes", past, "accuracy", 0.0, pages)
    assert '<th scope="row"><a href="nights/000007/comparison.html">7</a></th>' in index
    assert '<th scope="row">6</th>' in index
    hrefs = [str(link["href"]) for link in Page(index).all("a")]
    assert hrefs[2:] == ["nights/000007/comparison.html", *reports.values()]

    scores.rmdir()
    pages = comparison_page.list_run_pages(str(tmp_path / "retrain"), past)
    assert pages == {7: RunPages("nights/000007/comparison.html", {})}


def test_a_run_without_a_comparison_has_no_page(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "retrain"), 3)
    assert comparison_page.write_comparison(job(tmp_path), journal, OUTCOME) is None


def test_slices_are_compared_by_kind_and_value() -> None:
    now = some_slices(LABELS)
    (column,) = comparison_page.compare_slices(now, now)
    assert (column.column, column.num_slices) == ("camera", 3)
    assert column.shown[0] == SliceChange("v0", 100, 0.1, 0.1, 0.25, 0.25)
    assert comparison_page.compare_slices(None, now) == []
    assert comparison_page.compare_slices(now, None) == []
