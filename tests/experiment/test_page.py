"""The page of an experiment: its content for real files, and that it is self-contained."""

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
from halftone.dataset.shard_files import ShardFile
from halftone.experiment import rows, spec, table
from halftone.experiment.outcomes import ExperimentResults, RunOutcome, StageOutcomes
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


def write_dataset(root: Path, labels: Sequence[str]) -> None:
    """Write a test split of one shard with the column that the page reads."""
    images = arrow.binary_array([pixels.tobytes() for pixels in PIXELS])
    storage.write_table(str(root / "test" / "a.parquet"), pa.table({schema.IMAGE: images}))
    shard = ShardFile(path="test/a.parquet", split="test", rows=ROWS, size_bytes=1, digest="d1")
    pixels = PixelSpec(height_px=SIDE_PX, width_px=SIDE_PX, channels=1)
    dataset_manifest = a_manifest(list(labels), files=[shard], pixels=pixels)
    manifest.publish_manifest(str(root), dataset_manifest)


def write_scores(folder: Path, labels: Sequence[str], of_second: Sequence[float]) -> None:
    """Write the scores of a run with these probabilities of the second class."""
    probabilities = np.array([[1 - p, p] for p in of_second], np.float32)
    predictor = PredictorSettings("", "v1", tuple(labels), (SIDE_PX, SIDE_PX, 1), 1, 1)
    row_labels = arrow.string_array([labels[number] for number in LABEL_IDS])
    keys = arrow.string_array(KEYS)
    prediction_table = predictions.prediction_table(
        predictor, keys, row_labels, probabilities, "f00"
    )
    storage.write_table(str(folder / "predictions" / "r" / "a.parquet"), prediction_table)
    losses = arrow.to_numpy(prediction_table[schema.LOSS])
    sums = accumulator.accumulate_rows(KEYS, LABEL_IDS.astype(np.int32), probabilities, losses, 0.5)
    metrics = {
        **summarise(sums, list(labels), replicates=10).to_json(),
        **{"run": "r", "split": "test", "rows": ROWS, "model_version": "v1"},
        **{"fingerprint": "f00", "scored_at": "2026-01-02T03:04:05+00:00", "secs": 1.0},
        **{"shards": ["d1"], "predictions": ["predictions/r/a.parquet"]},
    }
    storage.write_json(str(folder / "metrics.json"), metrics)
    storage.write_bytes(str(folder / "report.html"), b"a report")


def make_outcome(
    root: Path,
    name: str,
    run_config: Config = BASE,
    result: Optional[dict[str, Any]] = None,
    **trial: Any,
) -> RunOutcome:
    folder = root / "runs" / name
    error = "" if result else "was killed by signal 9"
    return RunOutcome(Trial(name, run_config, **trial), result, error, f"{folder}/log", str(folder))


# The wrong class is more probable in rows 2, 4 and 5.
PROBABILITIES = [0.1, 0.9, 0.8, 0.7, 0.99, 0.2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three runs: one was scored, one failed, one was pruned."""
    root = tmp_path_factory.mktemp("study")
    write_dataset(root / "datasets" / "a", FACES)
    (root / "datasets" / "unfinished").mkdir()
    write_scores(root / "runs" / "best" / "scores", FACES, PROBABILITIES)
    history = {"best_epoch": 3, "epochs": a_history(20)}
    storage.write_json(str(root / "runs" / "best" / "model" / "history.json"), history)
    outcomes = [
        make_outcome(root, "best", BASE, a_result(), paper=PaperResult(f1=0.9), note="a & b"),
        make_outcome(root, "dead", config(epochs=3)),
        make_outcome(root, "slow", config(epochs=4), a_result(state="pruned", epochs=1, test={})),
    ]
    (root / "sample.json").write_text('{"what": "synthetic: <code> drew them"}')
    base = BASE.model_copy(update={"paths": Paths(images=str(root))})
    experiment = spec.parse_spec(
        {
            "name": "study",
            "about": "Rossi <2022>",
            "search": {"trials": 3, "space": {"train.epochs": [3, 4, 10]}},
        },
        "test",
    )
    stage = StageOutcomes("", "", outcomes, "best")
    table.write_tables(ExperimentResults(experiment, base, [stage], str(root), ["--epochs 2"]))
    return root


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "index.html").read_text()


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_fetches_nothing_and_its_links_point_to_existing_reports(
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


def test_the_page_is_accessible_to_screen_readers(page: Page) -> None:
    assert page.headings() == ["stage-1", "best", "remarks"]
    assert [a["aria-labelledby"] for a in page.all("section")] == page.headings()
    inner = [str(a["href"]) for a in page.all("a") if str(a["href"]).startswith("#")]
    assert inner == ["#stage-1", "#best", "#remarks"]
    assert all(alt.strip() for alt in page.alts())
    assert len(page.all("table")) == len(page.all("caption")) == 2
    assert all(cell.get("scope") in ("row", "col", "colgroup") for cell in page.all("th"))


def test_the_table_has_the_results_on_the_test_split_first(page: Page) -> None:
    assert page.rows[0] == ["Run", "Test", "Paper", "Validation", "Train", ""]
    assert page.rows[1] == [
        *("accuracy", "loss", "f1", "accuracy", "loss", "accuracy", "loss"),
        *("parameters", "train secs", "images/s"),
    ]
    assert page.rows[2] == [
        *("best (best) report", "0.9800", "0.0625", "0.9000", "0.7500", "0.5", "0.8750", "0.25"),
        *("12,345", "1,234.5", "4,322"),
    ]
    assert page.rows[3] == ["dead (failed)", *["-"] * 10]
    assert page.rows[4] == ["epochs=3; was killed by signal 9"]
    assert page.rows[5] == [
        *("slow (pruned after 1 epoch)", "-", "-", "-", "0.7500", "0.5", "0.8750", "0.25"),
        *("12,345", "1,234.5", "4,322"),
    ]
    assert page.rows[6] == ["epochs=4"]
    assert page.rows[8:10] == [["comics", "1", "2"], ["faces", "1", "2"]]


def test_the_page_has_cautions_remarks_and_errors(page: Page) -> None:
    words = page.words()
    assert "Shrunk by --epochs 2: not comparable with a paper's figures." in words
    assert "The images are synthetic: <code> drew them." in words
    assert "Rossi <2022>" in words
    assert "The best run is highlighted: lowest validation loss." in words
    assert "best: a & b" in words
    assert "dead: failed: was killed by signal 9; its log is " in words
    assert not re.search(r"\{\{|\{%|\bNone\b|\bFalse\b|\bnan\b|Undefined", words)


def test_misclassified_images_are_shown_most_confident_first(page: Page) -> None:
    assert "best: 3 of 6" in page.words()
    shown = [image for image in page.all("img") if str(image["src"]).startswith("data:image/png")]
    assert [image["alt"] for image in shown] == [
        "An image of class comics, classified as faces",
        "An image of class comics, classified as faces",
        "An image of class faces, classified as comics",
    ]
    assert "comics → faces 99.00%" in page.words()
    for image, row in zip(shown, (4, 2, 5)):
        data = base64.b64decode(str(image["src"]).partition("base64,")[2])
        np.testing.assert_array_equal(
            np.asarray(Image.open(io.BytesIO(data))), PIXELS[row, :, :, 0]
        )


def test_figures_have_alternative_texts(page: Page) -> None:
    alts = page.alts()
    assert (
        "train.epochs against the validation loss of 2 trials; the best value is 10 with 0.5."
    ) in alts
    assert (
        "Loss and accuracy of best over 20 epochs; after the last one: train loss 0.0500, "
        "validation loss 0.0750, train accuracy 0.9800, validation accuracy 0.9750."
    ) in alts


def test_a_run_without_its_dataset_has_no_images(tmp_path: Path) -> None:
    write_scores(tmp_path / "runs" / "a" / "scores", FACES, PROBABILITIES)
    experiment = spec.parse_spec({"name": "study", "runs": [{"name": "a"}]}, "test")
    stage = StageOutcomes("", "", [make_outcome(tmp_path, "a", BASE, a_result())], None)
    table.write_tables(ExperimentResults(experiment, BASE, [stage], str(tmp_path)))
    page = Page((tmp_path / "index.html").read_text())
    assert "a: 3 of 6; their images are no longer available" in page.words()
    assert page.headings() == ["stage-1", "remarks"]


def test_html_in_names_is_escaped(tmp_path: Path) -> None:
    html = "<img src=x onerror=alert(1)>"
    write_dataset(tmp_path / "datasets" / "a", [html, "b"])
    write_scores(tmp_path / "runs" / "a" / "scores", [html, "b"], PROBABILITIES)
    experiment = spec.parse_spec({"name": "study", "about": html, "runs": [{"name": "a"}]}, "test")
    outcomes = [
        make_outcome(tmp_path, "a", BASE, a_result(), note=html),
        make_outcome(tmp_path, "b")._replace(error=html),
    ]
    stage = StageOutcomes("", html, outcomes, "a")
    table.write_tables(ExperimentResults(experiment, BASE, [stage], str(tmp_path), [html]))
    text = (tmp_path / "index.html").read_text()
    assert "<img src=x" not in text
    assert Page(text).text.count(html) >= 9


def test_characters_that_do_not_print_are_escaped(tmp_path: Path) -> None:
    name, shown = "a\x1b[31m\nb\u202e", r"a\x1b[31m\nb\u202e"
    write_dataset(tmp_path / "datasets" / "a", [name, "b"])
    write_scores(tmp_path / "runs" / "a" / "scores", [name, "b"], PROBABILITIES)
    experiment = spec.parse_spec(
        {"name": "study", "about": "two\nlines\x1b", "runs": [{"name": "a"}]}, "test"
    )
    outcome = make_outcome(tmp_path, "a", BASE, a_result(), note=name)
    stage = StageOutcomes("", "", [outcome], "a")
    places = ExperimentResults(experiment, BASE, [stage], str(tmp_path), [])
    terminal = table.write_tables(places)
    text = (tmp_path / "index.html").read_text()
    assert f"<bdi>{shown}</bdi>" in text
    assert r'<p class="verdict">two lines\x1b</p>' in text
    assert r"a: a\x1b[31m b\u202e" in terminal  # a remark is a line
    for written in (text, terminal, (tmp_path / "table.md").read_text()):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]|31m\nb", written)


# --- figures --------------------------------------------------------------------------------------


def build_rows(outcomes: list[RunOutcome]) -> list[rows.RunRow]:
    return rows.build_rows(StageOutcomes("", "", outcomes, None), BASE)


def rows_of_results(
    results: Sequence[dict[str, Any]], root: Path = Path("/nowhere")
) -> list[rows.RunRow]:
    return build_rows(
        [
            make_outcome(root, f"run-{number}", config(epochs=number + 1), result)
            for number, result in enumerate(results)
        ]
    )


def test_time_is_drawn_against_f1_if_all_runs_have_it() -> None:
    split = {"accuracy": 0.5, "f1": 0.25}
    results = [
        a_result(train_secs=10.0, train=split, validation={"accuracy": 0.1, "f1": 0.2}),
        a_result(train_secs=99.0, train=split, validation={"accuracy": 0.2, "f1": 0.1}),
    ]
    figure = times.draw_time_against_score(rows_of_results(results))
    assert figure is not None
    assert figure.alt == (
        "Training time against F1 of 2 runs. "
        "Fastest: run-0 with 10.0 s, train 0.2500, validation 0.2000. "
        "Highest validation F1: run-0 with 10.0 s, train 0.2500, validation 0.2000."
    )
    results[0]["train"] = {"accuracy": 0.5}
    figure = times.draw_time_against_score(rows_of_results(results))
    assert figure is not None
    assert figure.alt.startswith("Training time against accuracy of 2 runs.")
    assert times.draw_time_against_score(rows_of_results(results[:1])) is None


def test_the_test_split_replaces_a_missing_validation_split() -> None:
    results = [a_result(validation={"accuracy": None})] * 2
    figure = times.draw_time_against_score(rows_of_results(results))
    assert figure is not None
    assert "train 0.8750, test 0.9800" in figure.alt


def test_a_search_shows_the_best_so_far() -> None:
    losses = (0.5, 0.75, 0.25, 0.375)
    results = [a_result(validation={"loss": loss}) for loss in losses]
    results[2]["state"] = "pruned"  # cannot be the best
    run_rows = rows_of_results(results)
    figure = trials.draw_progress(run_rows, SelectionCriterion())
    assert figure is not None
    assert figure.alt == (
        "The validation loss of 4 of 4 trials: 0.5 for the first finished trial, 0.375 for the "
        "best, trial 4."
    )
    figure = trials.draw_progress(run_rows, SelectionCriterion(split="train", metric="accuracy"))
    assert figure is not None
    assert figure.alt.endswith("0.875 for the best, trial 1.")
    assert trials.draw_progress(run_rows[:1], SelectionCriterion()) is None


def test_each_setting_of_a_search_has_its_figure() -> None:
    proposals = (
        {"train.learning_rate": 0.0001, "train.optimizer": "adam", "a,b": 1},
        {"train.learning_rate": 0.1, "train.optimizer": "sgd", "a,b": 2},
    )
    run_rows = build_rows(
        [
            make_outcome(Path("/nowhere"), "run", BASE, a_result(), proposal=proposal)
            for proposal in proposals
        ]
    )
    rate, optimizer, last = trials.draw_settings(run_rows, SelectionCriterion())
    middle = "against the validation loss of 2 trials; the best value is"
    assert rate.alt == f"train.learning_rate {middle} 0.0001 with 0.5."
    assert optimizer.alt == f"train.optimizer {middle} adam with 0.5."
    assert last.alt == f"a,b {middle} 1 with 0.5."
    # Matplotlib's default labels of a logarithmic axis would be formulas.
    ticks = re.findall(r">([^<>]+)</text>", report_pages.svg(rate.light))
    assert ticks[:4] == ["0.0001", "0.001", "0.01", "0.1"]
    linear = SearchSpec(trials=2, space={"train.learning_rate": {"low": 0.0, "high": 0.1}})
    rate, *_ = trials.draw_settings(run_rows, SelectionCriterion(), linear)
    ticks = re.findall(r">([^<>]+)</text>", report_pages.svg(rate.light))
    assert ticks[:3] == ["0.00", "0.02", "0.04"]


def test_only_differing_settings_of_randomly_drawn_runs_have_figures() -> None:
    # learning_rate and conv_dropout have the same values and share a figure.
    models = [{"name": "convnet", "filters": [8], "conv_dropout": rate} for rate in (0.1, 0.2)]
    run_rows = build_rows(
        [
            make_outcome(
                Path("/nowhere"), "run", config(learning_rate=rate, model=model), a_result()
            )
            for rate, model in zip((0.1, 0.2), models)
        ]
    )
    (figure,) = trials.draw_settings(run_rows, SelectionCriterion())
    assert figure.alt == (
        "train.model.conv_dropout against the validation loss of 2 trials; the best value is 0.1 "
        "with 0.5."
    )


def test_only_the_best_of_many_runs_have_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "MAX_RUNS", 2)
    results = [a_result(validation={"loss": float(20 - number)}) for number in range(4)]
    run_rows = rows_of_results(results, tmp_path)
    for row in run_rows:
        history = {"best_epoch": 1, "epochs": a_history(2)}
        if row.name() == "run-3":
            history["epochs"][0]["loss"] = 1e9
        url = storage.join(row.outcome.folder, "model", "history.json")
        storage.write_json(url, history)
    learning_curves = curves.draw_run_curves(run_rows, SelectionCriterion())
    assert [figure.alt.split(" ")[4] for figure in learning_curves.figures] == ["run-2", "run-3"]
    assert learning_curves.num_omitted == 2
    assert learning_curves.clipped
    assert not curves.draw_run_curves(run_rows[:1], SelectionCriterion()).clipped
    untrained = rows_of_results(results[:2])
    assert curves.draw_run_curves(untrained, SelectionCriterion()) == ([], 0, False)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5, unique=True))
def test_labels_are_beside_their_points_and_inside_the_axes(points: list[Any]) -> None:
    figure = Figure(figsize=(6.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*points), "o")
    axes.set(xlim=(-0.2, 1.2), ylim=(-0.2, 1.2))
    texts = [(f"name {number}", x, y) for number, (x, y) in enumerate(points)]
    labels.place_labels(figure, axes, plots.LIGHT, texts, [])
    figure.draw_without_rendering()
    assert [text.get_text() for text in axes.texts] == [name for name, _, _ in texts]
    boxes = [text.get_window_extent() for text in axes.texts]
    frame = axes.get_window_extent()
    assert all(frame.containsx(box.x0) and frame.containsx(box.x1) for box in boxes)
    for number, box in enumerate(boxes):
        x, y = axes.transData.transform(points[number])
        assert box.x0 - 20 < x < box.x1 + 20
        assert box.y0 - 20 < y < box.y1 + 20


def test_labels_of_coincident_points_do_not_overlap() -> None:
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


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_page_without_overflow_or_broken_images(
    page: Page, text: str, width: int, tmp_path: Path
) -> None:
    assert browser.measure_layout(text, width, tmp_path) == {
        "beyond": 0,
        "images": len(page.all("img")),
        "broken": 0,
        "sections": 3,
    }


@pytest.mark.needs("chromium")
def test_a_browser_requests_nothing_and_reports_no_errors(text: str, tmp_path: Path) -> None:
    dom, log = browser.browse(text, tmp_path)
    assert dom.count("<section") == 3
    assert "CONSOLE" not in log
    assert browser.list_page_requests(tmp_path) == []


@pytest.mark.needs("chromium")
def test_a_browser_shows_all_test_results_and_the_curves_of_one_run_at_their_size(
    tmp_path: Path,
) -> None:
    everything = {
        "accuracy": 0.9876, "loss": 0.1234, "precision": 0.9876, "recall": 0.9876, "f1": 0.9876,
        "mistakes": 1234, "rows": 10000,
    }  # fmt: skip
    result = a_result(train=everything, validation=everything, test=everything)
    paper = PaperResult(accuracy=0.9, loss=0.2, f1=0.9, mistakes=100, train_secs=1000.5)
    name = "learning_rate-0.001_filters-64x64x128x128"
    outcome = make_outcome(tmp_path, name, BASE, result, paper=paper)
    storage.write_json(
        f"{outcome.folder}/model/history.json", {"best_epoch": 3, "epochs": a_history(20)}
    )
    experiment = spec.parse_spec({"name": "study", "runs": [{"name": name}]}, "test")
    stage = StageOutcomes("", "", [outcome], name)
    table.write_tables(ExperimentResults(experiment, BASE, [stage], str(tmp_path)))
    text = (tmp_path / "index.html").read_text()

    boxes = browser.measure_boxes(text, 1280, ".runs thead .group, picture.curves", tmp_path)

    assert [box["text"] for box in boxes] == ["Test", "Paper", "Validation", "Train", ""]
    assert boxes[0]["right_px"] < 700  # the paper's figures begin beside them
    assert 500 < boxes[-1]["width_px"] < 600  # 5.2 inches are 499 px
