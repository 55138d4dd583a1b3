"""Exports of a model directory: what is published, kept and refused."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, Callable

import cv2
import numpy as np
import pytest
import tensorflow as tf

import saved_model
from doc_blocks import read_blocks
from halftone.config import Config
from halftone.dataset import manifest
from halftone.errors import InputError, RunError
from halftone.export import export_model as module
from halftone.export import tflite_file
from halftone.export.export_model import ModelExport, export_model
from halftone.export.latency import Latency, LatencyReport
from halftone.export.model_summary import format_model_export
from halftone.locking.lock import LockHeldError
from halftone.locking.output import hold_output

LABELS = ["lying", "upright"]


@pytest.fixture
def model(tmp_path: Path, config: Callable[..., Config]) -> Path:
    """A softmax regression that knows the classes of the fixture `dataset`."""
    return saved_model.save(tmp_path / "model", config(), LABELS)


@pytest.fixture(autouse=True)
def fixed_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process takes seconds to start; tests/export/test_latency.py runs it."""
    latencies = [Latency(1, 0.5, 100), Latency(32, 12.0, 90)]
    monkeypatch.setattr(module, "measure_latency", lambda *_: LatencyReport(True, latencies))


def export_tflite(model: Path, output: Path, **arguments: Any) -> ModelExport:
    return export_model(str(model), str(output), "tflite", **arguments)


def test_published_files_and_export_json(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    left_by_a_killed_export = output / "saved_model" / "variables" / "stale"
    left_by_a_killed_export.parent.mkdir(parents=True)
    left_by_a_killed_export.touch()
    export = export_model(str(model), str(output), "savedmodel")
    assert export.is_new
    assert not left_by_a_killed_export.exists()
    info = json.loads((output / "export.json").read_text())
    assert info == export.info
    files = {
        str(path.relative_to(output)): path.stat().st_size
        for path in (output / "saved_model").rglob("*")
        if path.is_file()
    }
    assert {file["path"]: file["size_bytes"] for file in info["files"]} == files
    assert info["size_bytes"] == sum(files.values())
    assert {key: info[key] for key in ("schema", "format", "model_version", "labels")} == {
        "schema": 1,
        "format": "savedmodel",
        "model_version": "v0.0",
        "labels": LABELS,
    }
    assert info["pixels"]["height_px"] == 16
    assert info["parity"] == {
        "images": "random pixels",
        "rows": 64,
        "max_difference": 0.0,
        "mean_difference": 0.0,
        "changed_predictions": 0,
        "keras_accuracy": None,
        "accuracy": None,
        "limit": 1e-5,
    }
    assert info["latency"] == {
        "is_pinned": True,
        "batches": [
            {"batch_size": 1, "median_ms": 0.5, "runs": 100},
            {"batch_size": 32, "median_ms": 12.0, "runs": 90},
        ],
    }
    signature = tf.saved_model.load(str(output / "saved_model")).signatures["serving_default"]
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1), np.uint8)
    network = tf.keras.models.load_model(model / "network-v0.0.keras")
    np.testing.assert_allclose(
        signature(pixels=tf.constant(pixels))["probabilities"], network(pixels), atol=1e-6
    )


def test_rerun_writes_nothing_and_says_so(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    first = export_tflite(model, output)
    before = (output / "model.tflite").stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_files", None)
        again = export_tflite(model, output)
    assert again == ModelExport(first.info, False)
    assert (output / "model.tflite").stat().st_mtime_ns == before
    lines = format_model_export(again, str(output)).splitlines()
    assert lines[-2:] == [
        "nothing to do: the output has this export already",
        f"export: {output}",
    ]
    assert "nothing to do" not in format_model_export(first, str(output))


def test_a_lost_or_damaged_file_is_made_again(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    export_tflite(model, output)
    path = output / "model.tflite"
    content = path.read_bytes()
    for damage in (path.unlink, lambda: path.write_bytes(b"half")):
        damage()
        assert export_tflite(model, output).is_new
        assert path.read_bytes() == content


def test_another_model_is_refused(
    model: Path, tmp_path: Path, config: Callable[..., Config]
) -> None:
    output = tmp_path / "out"
    export_tflite(model, output)
    before = (output / "export.json").read_bytes()
    other = saved_model.save(tmp_path / "other", config(), LABELS, bias=1.0)
    with pytest.raises(InputError) as caught:
        export_tflite(other, output)
    assert str(caught.value) == (
        f"{output}: contains another export, which is not overwritten: model_version 'v0.0' "
        "there, 'v1.0' now. Give another --output, or remove it"
    )
    assert (output / "export.json").read_bytes() == before


def test_other_predictions_than_those_of_keras_are_not_published(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = tflite_file.write_model

    def write_changed(exported: Any, *arguments: Any) -> None:
        kernel, bias = exported.network.layers[-1].get_weights()
        exported.network.layers[-1].set_weights([kernel, bias + np.float32([0, 0.001])])
        write(exported, *arguments)
        exported.network.layers[-1].set_weights([kernel, bias])

    monkeypatch.setattr(tflite_file, "write_model", write_changed)
    output = tmp_path / "out"
    with pytest.raises(RunError, match=r"differ by up to 0\.00025, and at most 1e-05 is allowed"):
        export_tflite(model, output)
    assert os.listdir(output) == ["_lock"]


def test_rows_of_the_dataset_give_accuracies(model: Path, tmp_path: Path, dataset: Path) -> None:
    export = export_tflite(model, tmp_path / "out", dataset=str(dataset))
    parity = export.info["parity"]
    data = manifest.read_manifest(str(dataset))
    assert parity["images"] == f"the test split of {dataset}"
    assert parity["rows"] == data.totals("test").rows
    assert parity["accuracy"] == parity["keras_accuracy"]
    text = format_model_export(export, str(tmp_path / "out"))
    accuracy = f"{parity['accuracy']:.4f}"
    assert f"accuracy on these images: {accuracy}, of Keras {accuracy}: 0.0000 lost" in text
    assert "latency on one core: 0.5 ms for 1 image (median of 100 runs)" in text
    assert "latency on one core: 12 ms for 32 images (median of 90 runs)" in text


def test_integers_are_calibrated_on_validation_rows(
    model: Path, tmp_path: Path, dataset: Path
) -> None:
    output = tmp_path / "out"
    export = export_tflite(model, output, dataset=str(dataset), quantise="int8")
    data = manifest.read_manifest(str(dataset))
    assert export.info["quantise"] == "int8"
    assert export.info["fingerprint"] == data.fingerprint
    assert export.info["calibration"] == {
        "images": f"the validation split of {dataset}",
        "rows": data.totals("validation").rows,
    }
    # Larger than the limit of floats, which does not hold for integers.
    assert 1e-5 < export.info["parity"]["max_difference"] < 0.05
    assert "limit" not in export.info["parity"]
    assert "8-bit integers of model v0.0" in format_model_export(export, str(output))
    with pytest.raises(InputError, match="quantise 'int8' there, 'none' now"):
        export_tflite(model, output, dataset=str(dataset))


def test_integers_need_a_dataset(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        export_tflite(model, tmp_path / "out", quantise="int8")
    assert str(caught.value) == (
        "--quantise int8 needs rows of a dataset, from which the ranges of all values are "
        "measured; give --dataset URL, or paths.dataset in the config file"
    )
    assert not (tmp_path / "out").exists()


def test_a_dataset_of_other_classes_is_refused(
    tmp_path: Path, config: Callable[..., Config], dataset: Path
) -> None:
    other = saved_model.save(tmp_path / "other", config(), ["cat", "dog"])
    with pytest.raises(InputError, match=re.escape("the model knows the classes cat, dog")):
        export_tflite(other, tmp_path / "out", dataset=str(dataset))


def test_an_output_that_another_job_writes_to(model: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    with hold_output(output, "export"), pytest.raises(LockHeldError):
        export_model(str(model), output, "tflite")


# The examples of docs/how-to/export.md, by format.
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "export.md"
EXAMPLES: dict[str, str] = {
    re.findall(r"out/demo/(\w+)/", block.text)[0]: block.text
    for block in read_blocks(PAGE)
    if block.language == "python" and "out/demo/" in block.text
}


def test_example_of_tflite(model: Path, tmp_path: Path, dataset: Path) -> None:
    export_tflite(model, tmp_path / "tflite", dataset=str(dataset), quantise="int8")
    assert probabilities_of_example("tflite", tmp_path).sum() == pytest.approx(1, abs=0.01)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="tf2onnx needs Python 3.10")
def test_example_of_onnx(model: Path, tmp_path: Path) -> None:
    export_model(str(model), str(tmp_path / "onnx"), "onnx")
    assert probabilities_of_example("onnx", tmp_path).sum() == pytest.approx(1)


def test_example_of_savedmodel(model: Path, tmp_path: Path) -> None:
    export_model(str(model), str(tmp_path / "savedmodel"), "savedmodel")
    cv2.imwrite(str(tmp_path / "face.jpg"), np.full((40, 50, 3), 90, np.uint8))
    assert probabilities_of_example("savedmodel", tmp_path).sum() == pytest.approx(1)


def probabilities_of_example(export_format: str, folder: Path) -> np.ndarray:
    code = EXAMPLES[export_format].replace("out/demo", str(folder))
    names: dict[str, Any] = {}
    exec(code.replace("face.jpg", str(folder / "face.jpg")), names)
    probabilities = np.asarray(names["probabilities"])
    assert probabilities.shape == (1, 2)
    return probabilities
