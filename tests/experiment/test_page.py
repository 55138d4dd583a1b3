"""The page of an experiment: what it shows of real files, and that it opens anywhere."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

import browser
import report_pages
from experiment_runs import a_result, config
from halftone import arrow, storage
from halftone.config import Config, Paths, PixelSpec
from halftone.dataset import manifest, schema
from halftone.dataset.manifest import ShardFile
from halftone.experiment import rows, spec, table
from halftone.experiment.outcomes import RunOutcome, StageOutcomes
from halftone.experiment.page import curves, labels, times, trials
from halftone.experiment.planning import Trial
from halftone.experiment.spec import PaperResult, SearchSpec, SelectionCriterion
from halftone.metrics import accumulator
from halftone.metrics.summarise import summarise
from halftone.report import plots
from halftone.scoring import predictions
from halftone.scoring.predict import PredictorSettings
from report_pages import Page, a_history, a_manifest

BASE = config()
FACES = ["comics", "faces"]
ROWS, SIDE_PX = 6, 8
PIXELS = np.random.default_rng(3).integers(0, 256, (ROWS, SIDE_PX, SIDE_PX, 1), dtype=np.uint8)
LABEL_IDS = np.array([0, 1, 0, 1, 0, 1])
KEYS = [f"/data/images/{number}.jpg" for number in range(ROWS)]


def a_dataset(root: Path, labels: Sequence[str]) -> None:
    """A test split of one shard, with the column that a page reads."""
    images = arrow.binary_array([pixels.tobytes() for pixels in PIXELS])
    storage.write_table(str(root / "test" / "a.parquet"), pa.table({schema.IMAGE: images}))
    shard = ShardFile(path="test/a.parquet", split="test", rows=ROWS, size_bytes=1, digest="d1")
    pixels = PixelSpec(height_px=SIDE_PX, width_px=SIDE_PX, channels=1)
    made = a_manifest(list(labels), files=[shard], pixels=pixels)
    manifest.publish_manifest(str(root), made)


def some_scores(folder: Path, labels: Sequence[str], of_second: Sequence[float]) -> None:
    """The scores of a run that gives the second class these probabilities."""
    shares = np.array([[1 - p, p] for p in of_second], np.float32)
    work = PredictorSettings("", "v1", tuple(labels), (SIDE_PX, SIDE_PX, 1), 1, 1)
    names = arrow.string_array([labels[number] for number in LABEL_IDS])
    keys = arrow.string_array(KEYS)
    made = predictions.prediction_table(work, keys, names, shares, "f00")
    storage.write_table(str(folder / "predictions" / "r" / "a.parquet"), made)
    losses = arrow.to_numpy(made[schema.LOSS])
    counted = accumulator.accumulate_rows(KEYS, LABEL_IDS.astype(np.int32), shares, losses, 0.5)
    result = {
        **summarise(counted, list(labels), replicates=10).to_json(),
        **{"run": "r", "split": "test", "rows": ROWS, "model_version": "v1"},
        **{"fingerprint": "f00", "scored_at": "2026-01-02T03:04:05+00:00", "secs": 1.0},
        **{"shards": ["d1"], "predictions": ["predictions/r/a.parquet"]},
    }
    storage.write_json(str(folder / "metrics.json"), result)
    storage.write_bytes(str(folder / "report.html"), b"a report")


def an_outcome(
    root: Path, name: str, own: Config = BASE, result: Optional[dict[str, Any]] = None, **trial: Any
) -> RunOutcome:
    folder = root / "runs" / name
    error = "" if result else "was killed by signal 9"
    return RunOutcome(Trial(name, own, **trial), result, error, f"{folder}/log", str(folder))


SURE = [0.1, 0.9, 0.8, 0.7, 0.99, 0.2]  # of rows 2, 4 and 5 the wrong class is more probable


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three runs: one is scored, one failed, one was pruned."""
    root = tmp_path_factory.mktemp("study")
    a_dataset(root / "datasets" / "a", FACES)
    (root / "datasets" / "unfinished").mkdir()
    some_scores(root / "runs" / "best" / "scores", FACES, SURE)
    history = {"best_epoch": 3, "epochs": a_history(20)}
    storage.write_json(str(root / "runs" / "best" / "model" / "history.json"), history)
    outcomes = [
        an_outcome(root, "best", BASE, a_result(), paper=PaperResult(f1=0.9), note="a & b"),
        an_outcome(root, "dead", config(epochs=3)),
        an_outcome(root, "slow", config(epochs=4), a_result(state="pruned", epochs=1, test={})),
    ]
    asked: dict[str, Any] = {"name": "study", "about": "Rossi <2022>"}
    (root / "sample.json").write_text('{"what": "synthetic: <code> drew them"}')
    base = BASE.model_copy(update={"paths": Paths(images=str(root))})
    asked["search"] = {"trials": 3, "space": {"train.epochs": [3, 4, 10]}}
    made = spec.parse_spec(asked, "test")
    stage = StageOutcomes("", "", outcomes, "best")
    table.write_tables(made, base, [stage], str(root), ["--epochs 2"])
    return root


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "index.html").read_text()


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_nothing_is_fetched_and_links_lead_to_reports_that_are_there(
    page: Page, root: Path
) -> None:
    links = [str(a["href"]) for a in page.all("a") if not str(a["href"]).startswith("#")]
    assert links == ["runs/best/scores/report.html"] * 2
    assert all((root / link).exists() for link in links)
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "data", "action"):
            assert str(attributes.get(name, "data:")).startswith("data:"), (tag, name)
    assert not {"script", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_a_screen_reader_finds_its_way(page: Page) -> None:
    assert page.headings() == ["stage-1", "best", "remarks"]
    assert [a["aria-labelledby"] for a in page.all("section")] == page.headings()
    inner = [str(a["href"]) for a in page.all("a") if str(a["href"]).startswith("#")]
    assert inner == ["#stage-1", "#best", "#remarks"]
    assert all(alt.strip() for alt in page.alts())
    assert len(page.all("table")) == len(page.all("caption")) == 2
    assert all(cell.get("scope") in ("row", "col", "colgroup") for cell in page.all("th"))


def test_the_table(page: Page) -> None:
    assert page.rows[0] == ["Run", "", "Train", "Validation", "Test", "", "Paper"]
    assert page.rows[1] == [
        *("parameters", "accuracy", "loss", "accuracy", "loss", "accuracy", "loss"),
        *("train secs", "images/s", "f1"),
    ]
    assert page.rows[2] == [
        *("best (best) report", "12,345", "0.8750", "0.25", "0.7500", "0.5", "0.9800"),
        *("0.0625", "1,234.5", "4,322", "0.9000"),
    ]
    assert page.rows[3] == ["dead (failed)", *["-"] * 10]
    assert page.rows[4] == ["epochs=3; was killed by signal 9"]
    assert page.rows[5] == [
        *("slow (pruned after 1 epoch)", "12,345", "0.8750", "0.25", "0.7500", "0.5"),
        *("-", "-", "1,234.5", "4,322", "-"),
    ]
    assert page.rows[6] == ["epochs=4"]
    assert page.rows[8:10] == [["comics", "1", "2"], ["faces", "1", "2"]]


def test_what_must_be_read_with_it(page: Page) -> None:
    words = page.words()
    assert "Shrunk by --epochs 2: not to be compared with a paper's figures." in words
    assert "The images are synthetic: <code> drew them." in words
    assert "Rossi <2022>" in words
    assert "Marked is the best run: the lowest validation loss." in words
    assert "best: a & b" in words
    assert "dead: failed: was killed by signal 9; its log is " in words
    assert not re.search(r"\{\{|\{%|\bNone\b|\bFalse\b|\bnan\b|Undefined", words)


def test_misclassified_images_are_those_of_the_dataset_the_surest_first(page: Page) -> None:
    assert "best: 3 of 6" in page.words()
    shown = [image for image in page.all("img") if str(image["src"]).startswith("data:image/png")]
    alts = ["comics, taken for faces", "comics, taken for faces", "faces, taken for comics"]
    assert [image["alt"] for image in shown] == [f"An image of class {alt}" for alt in alts]
    assert "comics → faces 99.00%" in page.words()
    for image, row in zip(shown, (4, 2, 5)):
        data = base64.b64decode(str(image["src"]).partition("base64,")[2])
        np.testing.assert_array_equal(
            np.asarray(Image.open(io.BytesIO(data))), PIXELS[row, :, :, 0]
        )


def test_pictures_of_a_search_say_what_they_show(page: Page) -> None:
    alts = page.alts()
    assert "train.epochs against the validation loss of 2 trials; best is 10 with 0.5." in alts
    assert (
        "Loss and accuracy of best over 20 epochs; at the last one: train loss 0.0500, validation "
        "loss 0.0750, train accuracy 0.9800, validation accuracy 0.9750."
    ) in alts


def test_a_run_whose_dataset_is_gone_has_no_pictures(tmp_path: Path) -> None:
    some_scores(tmp_path / "runs" / "a" / "scores", FACES, SURE)
    asked = spec.parse_spec({"name": "study", "runs": [{"name": "a"}]}, "test")
    stage = StageOutcomes("", "", [an_outcome(tmp_path, "a", BASE, a_result())], None)
    table.write_tables(asked, BASE, [stage], str(tmp_path))
    page = Page((tmp_path / "index.html").read_text())
    assert "a: 3 of 6; their pictures are no longer there" in page.words()
    assert page.headings() == ["stage-1", "remarks"]


def test_html_in_names_is_text(tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>"
    a_dataset(tmp_path / "datasets" / "a", [bad, "b"])
    some_scores(tmp_path / "runs" / "a" / "scores", [bad, "b"], SURE)
    asked = spec.parse_spec({"name": "study", "about": bad, "runs": [{"name": "a"}]}, "test")
    outcomes = [
        an_outcome(tmp_path, "a", BASE, a_result(), note=bad),
        an_outcome(tmp_path, "b")._replace(error=bad),
    ]
    table.write_tables(asked, BASE, [StageOutcomes("", bad, outcomes, "a")], str(tmp_path), [bad])
    written = (tmp_path / "index.html").read_text()
    assert "<img src=x" not in written
    assert Page(written).text.count(bad) >= 9


# --- pictures -------------------------------------------------------------------------------------


def some_rows(
    results: Sequence[dict[str, Any]], root: Path = Path("/nowhere"), **train: Any
) -> list[rows.RunRow]:
    outcomes = [
        an_outcome(root, f"run-{number}", config(epochs=number + 1, **train), result)
        for number, result in enumerate(results)
    ]
    return rows.build_rows(StageOutcomes("", "", outcomes, None), BASE)


def test_time_is_drawn_against_f1_where_it_is_known() -> None:
    split = {"accuracy": 0.5, "f1": 0.25}
    results = [
        a_result(train_secs=10.0, train=split, validation={"accuracy": 0.1, "f1": 0.2}),
        a_result(train_secs=99.0, train=split, validation={"accuracy": 0.2, "f1": 0.1}),
    ]
    drawn = times.draw_time_against_score(some_rows(results))
    assert drawn is not None
    assert drawn.alt == (
        "Training time against F1 of 2 runs. Fastest is run-0 with 10.0 s, train 0.2500, "
        "validation 0.2000; the highest validation F1 has run-0 with 10.0 s, train 0.2500, "
        "validation 0.2000."
    )
    results[0]["train"] = {"accuracy": 0.5}
    drawn = times.draw_time_against_score(some_rows(results))
    assert drawn is not None
    assert drawn.alt.startswith("Training time against accuracy of 2 runs.")
    assert times.draw_time_against_score(some_rows(results[:1])) is None


def test_without_validation_the_test_stands_in() -> None:
    drawn = times.draw_time_against_score(some_rows([a_result(validation={"accuracy": None})] * 2))
    assert drawn is not None
    assert "train 0.8750, test 0.9800" in drawn.alt


def test_a_search_shows_the_best_so_far() -> None:
    losses = (0.5, 0.75, 0.25, 0.375)
    results = [a_result(validation={"loss": loss}) for loss in losses]
    results[2]["state"] = "pruned"  # counts for nothing
    drawn = trials.draw_progress(some_rows(results), SelectionCriterion())
    assert drawn is not None
    assert drawn.alt == (
        "The validation loss of 4 trials of 4: 0.5 at the first that was finished, and 0.375 at "
        "the best, trial 4."
    )
    drawn = trials.draw_progress(
        some_rows(results), SelectionCriterion(split="train", metric="accuracy")
    )
    assert drawn is not None
    assert drawn.alt.endswith("and 0.875 at the best, trial 1.")
    assert trials.draw_progress(some_rows(results[:1]), SelectionCriterion()) is None


def test_each_setting_of_a_search_has_its_picture() -> None:
    proposed = (
        {"train.learning_rate": 0.0001, "train.optimizer": "adam", "a,b": 1},
        {"train.learning_rate": 0.1, "train.optimizer": "sgd", "a,b": 2},
    )
    outcomes = [
        an_outcome(Path("/nowhere"), "run", BASE, a_result(), proposed=own) for own in proposed
    ]
    own = rows.build_rows(StageOutcomes("", "", outcomes, None), BASE)
    rate, optimizer, last = trials.draw_settings(own, SelectionCriterion())
    said = "against the validation loss of 2 trials; best is"
    assert rate.alt == f"train.learning_rate {said} 0.0001 with 0.5."
    assert optimizer.alt == f"train.optimizer {said} adam with 0.5."
    assert last.alt == f"a,b {said} 1 with 0.5."
    # Matplotlib's own labels of a logarithmic axis would be formulas.
    ticks = re.findall(r">([^<>]+)</text>", report_pages.svg(rate.light))
    assert ticks[:4] == ["0.0001", "0.001", "0.01", "0.1"]
    linear = SearchSpec(trials=2, space={"train.learning_rate": {"low": 0.0, "high": 0.1}})
    rate, *_ = trials.draw_settings(own, SelectionCriterion(), linear)
    ticks = re.findall(r">([^<>]+)</text>", report_pages.svg(rate.light))
    assert ticks[:3] == ["0.00", "0.02", "0.04"]


def test_settings_of_runs_that_were_drawn_are_those_that_differ() -> None:
    # conv_dropout has always the value of learning_rate, and is not drawn again.
    models = [{"name": "convnet", "filters": [8], "conv_dropout": rate} for rate in (0.1, 0.2)]
    outcomes = [
        an_outcome(Path("/nowhere"), "run", config(learning_rate=rate, model=model), a_result())
        for rate, model in zip((0.1, 0.2), models)
    ]
    own = rows.build_rows(StageOutcomes("", "", outcomes, None), BASE)
    (drawn,) = trials.draw_settings(own, SelectionCriterion())
    assert drawn.alt == (
        "train.model.conv_dropout against the validation loss of 2 trials; best is 0.1 with 0.5."
    )


def test_of_many_runs_the_best_have_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "MAX_RUNS", 2)
    results = [a_result(validation={"loss": float(20 - number)}) for number in range(4)]
    own = some_rows(results, tmp_path)
    for row in own:
        history = {"best_epoch": 1, "epochs": a_history(2)}
        if row.name() == "run-3":
            history["epochs"][0]["loss"] = 1e9
        url = storage.join(row.outcome.folder, "model", "history.json")
        storage.write_json(url, history)
    made = curves.draw_run_curves(own, SelectionCriterion())
    assert [drawn.alt.split(" ")[4] for drawn in made.figures] == [
        f"run-{number}" for number in (2, 3)
    ]
    assert made.num_omitted == 2
    assert made.clipped
    assert not curves.draw_run_curves(own[:1], SelectionCriterion()).clipped
    assert curves.draw_run_curves(
        some_rows(results[:2]), SelectionCriterion()
    ) == curves.LearningCurves([], 0, False)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5, unique=True))
def test_names_stand_beside_their_points_and_not_on_each_other(places: list[Any]) -> None:
    figure = Figure(figsize=(6.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*places), "o")
    axes.set(xlim=(-0.2, 1.2), ylim=(-0.2, 1.2))
    texts = [(f"name {number}", x, y) for number, (x, y) in enumerate(places)]
    labels.place_labels(figure, axes, plots.LIGHT, texts, [])
    figure.draw_without_rendering()
    assert [text.get_text() for text in axes.texts] == [name for name, _, _ in texts]
    boxes = [text.get_window_extent() for text in axes.texts]
    frame = axes.get_window_extent()
    assert all(frame.containsx(box.x0) and frame.containsx(box.x1) for box in boxes)
    for number, box in enumerate(boxes):
        x, y = axes.transData.transform(places[number])
        assert box.x0 - 20 < x < box.x1 + 20
        assert box.y0 - 20 < y < box.y1 + 20


def test_of_two_points_on_one_place_the_names_are_apart() -> None:
    figure = Figure(figsize=(6.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    texts = [("16_max_1", 0.5, 0.5), ("8_max_2", 0.5, 0.5), ("32_average_1", 0.51, 0.5)]
    labels.place_labels(figure, axes, plots.LIGHT, texts, [(0.5, 0.52)])
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])


# --- in a browser ---------------------------------------------------------------------------------


@pytest.mark.skipif(browser.CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_it_fits_and_all_pictures_show(
    page: Page, text: str, width: int, tmp_path: Path
) -> None:
    assert browser.seen(text, width, tmp_path) == {
        "beyond": 0,
        "images": len(page.all("img")),
        "broken": 0,
        "sections": 3,
    }


@pytest.mark.skipif(browser.CHROMIUM is None, reason="needs Chromium")
def test_a_browser_asks_no_network_and_has_nothing_to_complain_of(
    text: str, tmp_path: Path
) -> None:
    said, complaints = browser.browse(text, tmp_path)
    assert said.count("<section") == 3
    assert "CONSOLE" not in complaints
    assert browser.requests_of_the_page(tmp_path) == []
