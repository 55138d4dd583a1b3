"""Notebooks that have run, for their tests."""

from __future__ import annotations

from collections.abc import Iterator

import nbformat
import pytest
import yaml
from nbformat import NotebookNode

from halftone.sample.generate import generate_sample
from notebook_runs import ALL, DATABRICKS, EPOCHS, PAIRS, SIDE_PX, Kernel, Place, read


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
        "spark": {"master": "local[1, 4]"},
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
