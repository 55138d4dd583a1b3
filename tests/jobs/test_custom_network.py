"""The example of docs/how-to/own-network.md, from training to scores."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from conftest import DrawImages
from doc_blocks import find_code
from halftone.config import load_config
from halftone.preprocess.run import preprocess
from job_runs import PYTHON, SUBMIT, results, run

PAGE = "docs/how-to/own-network.md"


@pytest.mark.slow
def test_own_network_is_trained_on_two_ranks_and_scored_without_its_code(
    tmp_path: Path, draw_images: DrawImages, spark: SparkSession
) -> None:
    code = find_code(PAGE, "import tensorflow")
    settings = find_code(PAGE, "train:")
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("my_networks.py", code)
    conf = tmp_path / "run.yaml"
    train = {"epochs": 8, "batch_size": 16, "learning_rate": 0.01, "ranks": 2, "launcher": "spark"}
    images = draw_images(classes=("lying", "upright", "slanted"), each=60)
    names = ("dataset", "model", "scores")
    conf.write_text(
        yaml.safe_dump(
            {
                "seed": 7,
                "paths": {
                    "images": str(images),
                    **{name: str(tmp_path / "out" / name) for name in names},
                },
                "pixels": {"height_px": 16, "width_px": 16},
                "splits": {"validation_fraction": 0.2, "test_fraction": 0.2},
                "preprocess": {"rows_per_shard": 16},
                "tracking": {"enabled": False},
                "spark": {"master": "local[1, 4]"},
                "train": {**train, **yaml.safe_load(settings)["train"]},
            }
        )
    )
    preprocess(load_config(str(conf)), str(images), str(tmp_path / "out/dataset"), lambda: spark)
    lines = run("train", "--config", conf, by=[*SUBMIT, "--py-files", str(archive)])
    assert any("2 ranks (spark), batch 16 = 2 x 8" in line for line in lines)
    run("score", "--config", conf, by=PYTHON)
    outcome = results(tmp_path)
    assert outcome["accuracy"] > 0.8
    model = json.loads((tmp_path / "out" / "model" / "model.json").read_text())
    assert model["config"]["train"]["model"]["build"] == "my_networks:separable"

    errors = run("train", "--config", conf, "--output", tmp_path / "other", code=2)
    assert errors == [
        "error: train.model.build: there is no module my_networks here; install it on all nodes, "
        "send it with --py-files, or add its folder to PYTHONPATH"
    ]
