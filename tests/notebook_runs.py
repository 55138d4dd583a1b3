"""Run notebooks in a real kernel, on a small drawn dataset: what their tests share."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
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
    spark = SparkSession.builder.master("local[1]").config(map=local).getOrCreate()

dbutils = SimpleNamespace(widgets=Widgets(VALUES))
thread = threading.Thread(target=start)
thread.start()
thread.join()
"""


class Place(NamedTuple):
    """The folder of all paths, and the config file."""

    folder: Path
    conf: Path


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
