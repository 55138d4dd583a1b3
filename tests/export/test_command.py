"""The flags of the job that exports, and the whole job."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Callable, NoReturn

import pytest

import saved_model
from halftone.config import Config, ConfigError
from halftone.errors import InputError
from halftone.export import command, flags
from halftone.tracking import mlflow_store

ROOT = Path(__file__).parents[2]


def run(config: Config, *arguments: str) -> str:
    parser = argparse.ArgumentParser()
    flags.add_flags(parser)
    return command.run_export(config, parser.parse_args(arguments), no_session)


def no_session() -> NoReturn:
    raise AssertionError("a model is exported without Spark")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--format", "onnx", "--gzip"],
            "--gzip is for --format tfrecord, and the format is onnx; remove it, or change the "
            "format",
        ),
        (
            ["--quantise", "int8"],
            "--quantise int8 is for --format tflite, and the format is tfrecord; remove it, or "
            "change the format",
        ),
    ],
)
def test_flags_of_another_format(
    config: Callable[..., Config], arguments: list[str], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        run(config(), "--output", "/nowhere", *arguments)
    assert str(caught.value) == message


def test_tfrecord_is_the_default_and_needs_a_dataset(config: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match=r"paths\.dataset is not set"):
        run(config(), "--output", "/nowhere")


@pytest.mark.parametrize("export_format", ["savedmodel", "onnx", "tflite"])
def test_other_formats_need_a_model(config: Callable[..., Config], export_format: str) -> None:
    with pytest.raises(ConfigError, match=r"paths\.model is not set.*--model URL"):
        run(config(), "--output", "/nowhere", "--format", export_format)


@pytest.mark.slow
def test_a_registered_model_is_fetched_for_the_export_alone(
    tmp_path: Path, config: Callable[..., Config]
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow_store.connect(uri)
    run_id = client.create_run(
        mlflow_store.get_or_create_experiment(client, uri, "tests")
    ).info.run_id
    client.log_artifacts(
        run_id, str(saved_model.save(tmp_path / "m", config(), ["a", "b"])), "model"
    )
    artifacts = client.get_run(run_id).info.artifact_uri
    client.create_registered_model("faces")
    client.create_model_version("faces", f"{artifacts}/model", run_id)
    client.set_registered_model_alias("faces", "champion", "1")

    settings = config(paths={"model": "models:/faces@champion"}, tracking={"uri": uri})
    output = tmp_path / "out"
    text = run(settings, "--output", str(output), "--format", "tflite")
    assert text.splitlines()[-1] == f"export: {output}"
    assert json.loads((output / "export.json").read_text())["model_version"] == "v0.0"
    assert sorted(os.listdir(output)) == ["_lock", "export.json", "model.tflite"]


def run_job(*arguments: object) -> subprocess.CompletedProcess[str]:
    command_line = [sys.executable, str(ROOT / "jobs" / "export.py"), *map(str, arguments)]
    return subprocess.run(command_line, capture_output=True, text=True, timeout=300, cwd="/")


@pytest.mark.slow
def test_job(tmp_path: Path, dataset: Path, config: Callable[..., Config]) -> None:
    model = saved_model.save(tmp_path / "model", config(), ["lying", "upright"])
    (tmp_path / "run.yaml").write_text("name: stripes\n")
    output = tmp_path / "out"
    arguments = ["--config", tmp_path / "run.yaml", "--format", "tflite", "--quantise", "int8"]
    arguments += ["--model", model, "--dataset", dataset, "--output", output]
    completed = run_job(*arguments)
    assert (completed.returncode, completed.stderr) == (0, "")
    lines = completed.stdout.splitlines()
    assert lines[-1] == f"export: {output}"
    pattern = r"latency on one core: \S+ ms for 1 image \(median of \d+ runs\)"
    assert re.fullmatch(pattern, lines[-3])
    info = json.loads((output / "export.json").read_text())
    assert info["parity"]["keras_accuracy"] is not None
    again = run_job(*arguments)
    assert again.stdout.splitlines()[-2:] == [
        "nothing to do: the output has this export already",
        f"export: {output}",
    ]
    assert json.loads((output / "export.json").read_text()) == info
