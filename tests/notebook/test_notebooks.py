"""Run the notebooks from top to bottom in a real kernel, as on Databricks and as in Jupyter."""

from __future__ import annotations

import json
import re

import nbformat
import pytest
from nbformat import NotebookNode

from notebook_runs import (
    ALL,
    EPOCHS,
    NOTEBOOKS,
    PAIRS,
    SIDE_PX,
    Kernel,
    Place,
    pictures,
    printed,
    problems,
    read,
    shown,
)


@pytest.mark.slow
def test_cells_have_no_errors_or_warnings(executed: dict[str, NotebookNode]) -> None:
    assert [problems(notebook) for notebook in executed.values()] == [[], [], []]


@pytest.mark.slow
def test_preprocess(executed: dict[str, NotebookNode], place: Place) -> None:
    notebook = executed["1_preprocess.ipynb"]
    rows = shown(notebook, "parameters").replace(' style="text-align: left"', "")
    assert f"<tr><td>config</td><td>{place.conf}</td><td>widget config</td></tr>" in rows
    assert f"<tr><td>pixels.height_px</td><td>{SIDE_PX}</td><td>{place.conf}</td></tr>" in rows
    lines = printed(notebook, "preprocess").splitlines()
    assert f"{2 * PAIRS + 4} images = {2 * PAIRS} rows + 4 rejects + 0 duplicates" in lines
    assert lines[-1] == f"dataset: {place.folder}/dataset"
    assert pictures(notebook, "contact-sheet") == 1
    assert pictures(notebook, "samples") == 2
    # The damaged and the truncated image can be shown, each as far as it can be read.
    assert pictures(notebook, "rejects") == 2
    reasons = re.findall("<b>(.*?)</b>", shown(notebook, "rejects"))
    assert reasons == ["damaged", "empty", "not_an_image", "truncated"]


@pytest.mark.slow
def test_train_and_score(executed: dict[str, NotebookNode], place: Place) -> None:
    notebook = executed["2_train_and_score.ipynb"]
    output = printed(notebook, "train")
    assert "1 rank (horovodrun)" in output
    assert f"epoch {EPOCHS}/{EPOCHS}: " in output
    assert pictures(notebook, "curves") == 2
    match = re.search(r"test: (\d+) rows  accuracy (\S+)", printed(notebook, "score"))
    assert match is not None
    manifest = json.loads((place.folder / "dataset" / "manifest.json").read_text())
    assert int(match[1]) == sum(manifest["counts"]["test"].values())
    assert float(match[2]) > 0.8
    assert "&lt;!DOCTYPE html&gt;" in shown(notebook, "report")


@pytest.mark.slow
def test_explore_results(executed: dict[str, NotebookNode], place: Place) -> None:
    notebook = executed["3_explore_results.ipynb"]
    metrics = json.loads((place.folder / "scores" / "metrics.json").read_text())
    assert metrics["threshold"]["rule"] == "best_f1"  # set by a widget
    assert pictures(notebook, "samples") == pictures(notebook, "contact-sheet") == 1
    assert pictures(notebook, "curves") == 2
    assert pictures(notebook, "probabilities") == 5
    (true_negatives, false_positives), (false_negatives, true_positives) = metrics["confusion"]
    cells = re.findall("<td .*?>(.*?)</td>", shown(notebook, "confusion"))
    counts = (true_negatives, false_positives, false_negatives, true_positives)
    assert cells == [str(count) for count in counts]
    assert pictures(notebook, "mistakes") == false_positives + false_negatives
    assert pictures(notebook, "doubtful") == 24


@pytest.mark.slow
def test_existing_session_is_used_and_left_running(
    databricks: Kernel, executed: dict[str, NotebookNode]
) -> None:
    assert databricks.cell("print(spark.range(3).count())") == "3\n"
    assert databricks.cell("print(dbutils.widgets.labels['train_epochs'])") == "train.epochs\n"


@pytest.mark.slow
def test_jupyter_reads_environment_variables_and_starts_a_session(place: Place) -> None:
    other = str(place.folder / "other")
    kernel = Kernel(HALFTONE_CONFIG=str(place.conf), HALFTONE_PATHS_DATASET=other)
    try:
        notebook = kernel.run(read("1_preprocess.ipynb"))
    finally:
        kernel.end()
    assert problems(notebook) == []
    assert f"{other}</td>" in shown(notebook, "parameters")
    assert "HALFTONE_PATHS_DATASET</td>" in shown(notebook, "parameters")
    lines = printed(notebook, "preprocess").splitlines()
    assert lines[0].startswith(f"decode: {2 * PAIRS + 4} of {2 * PAIRS + 4} images, ")
    assert lines[-1] == f"dataset: {other}"


@pytest.mark.parametrize("name", ALL)
def test_notebooks_are_short_and_have_no_outputs(name: str) -> None:
    text = (NOTEBOOKS / name).read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count, cell.metadata) for cell in code] == [
        ([], None, {})
    ] * len(code)
    # Cells after the first, which has imports and parameters, only call functions.
    assert max(len(cell.source.splitlines()) for cell in code[1:]) <= 8
    assert not re.search(r"[\"' (]/(?!Volumes/\.\.\.)\w", text), "an absolute path"
    # Formatted as ruff and Jupyter write it: each line of a cell is a line of the file.
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"


def test_all_notebooks_are_tested() -> None:
    assert sorted(path.name for path in NOTEBOOKS.glob("*.*")) == ALL
