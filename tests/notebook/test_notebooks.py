"""Run the notebooks from top to bottom in a real kernel, as on Databricks and as in Jupyter."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
import yaml
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

from halftone.sample.generate import generate_sample

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
ALL = ["1_preprocess.ipynb", "2_train_and_score.ipynb", "3_explore_results.ipynb"]
PAIRS, SIDE_PX, EPOCHS = 80, 64, 12

# What Databricks provides in a notebook: widgets with values of a job's parameters, and a session.
# Another thread creates the session, so that it is not the active session of the main thread.
DATABRICKS = """
import os
import sys
import threading
from types import SimpleNamespace

class Widgets:
    def __init__(self, values):
        self.values, self.labels = values, {}

    def text(self, name, defaultValue, label=None):
        self.values.setdefault(name, defaultValue)
        self.labels[name] = label

    def get(self, name):
        return self.values[name]

def start():
    global spark
    from pyspark.sql import SparkSession
    local = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"}
    os.dup2(sys.stderr.fileno(), 2)  # the JVM writes to the cluster's log
    spark = SparkSession.builder.master("local[2]").config(map=local).getOrCreate()

dbutils = SimpleNamespace(widgets=Widgets(VALUES))
thread = threading.Thread(target=start)
thread.start()
thread.join()
"""


class Place(NamedTuple):
    """The folder of all paths, and the config file."""

    folder: Path
    conf: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A drawn dataset, and a config with a small network."""
    folder = tmp_path_factory.mktemp("notebooks")
    generate_sample(folder / "images", PAIRS, seed=7, size_px=64, processes=1)
    settings = {
        "name": "notebooks",
        "seed": 7,
        "paths": {name: str(folder / name) for name in ("images", "dataset", "model", "scores")},
        "pixels": {"height_px": SIDE_PX, "width_px": SIDE_PX},
        "splits": {"group_by": r"([^/]+)\.jpg$", "validation_fraction": 0.2, "test_fraction": 0.3},
        "preprocess": {"min_shards": 2},
        "tracking": {"enabled": False},
        "train": {
            "batch_size": 16,
            "learning_rate": 0.003,
            "normalise": "standard",
            "model": {"name": "convnet", "filters": [8, 16, 32], "dense": [32]},
        },
    }
    conf = folder / "conf.yaml"
    conf.write_text(yaml.safe_dump(settings))
    return Place(folder, conf)


class Kernel:
    """A kernel that is started in the folder of notebooks, like by Jupyter."""

    def __init__(self, **environment: str) -> None:
        self._manager = KernelManager(kernel_name="python3")
        # With PYTEST_CURRENT_TEST ipykernel would not capture stderr.
        inherited = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
        inherited["PYSPARK_PYTHON"] = sys.executable
        self._manager.start_kernel(cwd=str(NOTEBOOKS), env={**inherited, **environment})

    def run(self, notebook: NotebookNode) -> NotebookNode:
        """Run a notebook; raise CellExecutionError if a cell fails."""
        return NotebookClient(notebook, km=self._manager, timeout=300).execute()

    def cell(self, source: str) -> str:
        """Run one cell; return what it prints."""
        cell = nbformat.v4.new_code_cell(source)
        return printed(self.run(nbformat.v4.new_notebook(cells=[cell])), cell.id)

    def end(self) -> None:
        self._manager.shutdown_kernel(now=True)


def read(name: str) -> NotebookNode:
    return nbformat.read(NOTEBOOKS / name, as_version=4)


@pytest.fixture(scope="module")
def databricks(place: Place) -> Iterator[Kernel]:
    values = {"config": str(place.conf), "train_epochs": str(EPOCHS), "score_threshold": "best_f1"}
    kernel = Kernel()
    kernel.cell(f"VALUES = {values!r}\n{DATABRICKS}")
    yield kernel
    kernel.end()


@pytest.fixture(scope="module")
def executed(databricks: Kernel, place: Place) -> dict[str, NotebookNode]:
    """Execute all notebooks in order; write them beside their results, for inspection."""
    notebooks = {name: databricks.run(read(name)) for name in ALL}
    for name, notebook in notebooks.items():
        nbformat.write(notebook, place.folder / name)
    return notebooks


def outputs(notebook: NotebookNode, cell_id: str) -> list[Any]:
    return next(cell.outputs for cell in notebook.cells if cell.id == cell_id)


def printed(notebook: NotebookNode, cell_id: str) -> str:
    streams = (out for out in outputs(notebook, cell_id) if out.output_type == "stream")
    return "".join(out.text for out in streams)


def shown(notebook: NotebookNode, cell_id: str) -> str:
    """Return the HTML that a cell displays."""
    displayed = (out for out in outputs(notebook, cell_id) if "data" in out)
    return "".join(out.data.get("text/html", "") for out in displayed)


def pictures(notebook: NotebookNode, cell_id: str) -> int:
    """Count the pictures that a cell displays."""
    pngs = sum("image/png" in out.get("data", {}) for out in outputs(notebook, cell_id))
    return pngs + shown(notebook, cell_id).count("<img")


def problems(notebook: NotebookNode) -> list[str]:
    """Return errors and warnings of all cells."""
    return [
        f"{cell.id}: {out}"
        for cell in notebook.cells
        for out in cell.get("outputs", [])
        if out.output_type == "error"
        or out.get("name") == "stderr"
        or re.search("warn|error", out.get("text", ""), re.IGNORECASE)
    ]


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
