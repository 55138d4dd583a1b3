"""Export a trained model for other runtimes: SavedModel, ONNX or TensorFlow Lite.

export.json                              describes the export; written last
saved_model/, model.onnx, model.tflite   by format

Nothing is published unless the export predicts what Keras predicts, see `parity`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Optional

from halftone import model_directory, storage
from halftone.dataset import manifest
from halftone.errors import InputError
from halftone.export import onnx_file
from halftone.export.dataset_rows import (
    CALIBRATION_SPLITS,
    TEST_SPLITS,
    DatasetRows,
    first_rows,
)
from halftone.export.export_file import EXPORT_FILE, describe_origin, read_previous_export
from halftone.export.exported_network import ExportedNetwork
from halftone.export.flags import FLOAT, INT8, ONNX, TFLITE
from halftone.export.formats import PARTS, load_predictor, write_files
from halftone.export.latency import measure_latency
from halftone.export.parity import MAX_DIFFERENCE, check_parity, compare_predictions
from halftone.locking.output import hold_output
from halftone.model_directory import ModelInfo
from halftone.models import gpus, saved_model
from halftone.system.cores import num_threads

_SCHEMA_VERSION = 1
MAX_TEST_ROWS, MAX_CALIBRATION_ROWS = 1000, 500


class ModelExport(NamedTuple):
    """The content of export.json, and whether this call wrote it."""

    info: dict[str, Any]
    is_new: bool


class _Source(NamedTuple):
    """A model, and the rows that the export is compared on and calibrated with."""

    model: str  # URL
    model_info: ModelInfo
    test_rows: Optional[DatasetRows]
    calibration_rows: Optional[DatasetRows]  # for 8-bit integers only


def export_model(
    model: str,
    output: str,
    export_format: str,
    dataset: Optional[str] = None,
    quantise: str = FLOAT,
) -> ModelExport:
    """Export the model at `model`; do nothing if `output` has this export already.

    Args:
        model: URL of a model directory.
        output: URL of a folder; created if it does not exist.
        export_format: one of the keys of PARTS.
        dataset: URL; parity and accuracy are measured on its test rows, and integers calibrated on
            its validation rows. Without it, parity is measured on random pixels.
        quantise: one of QUANTISATIONS.

    Raises:
        InputError: there is no model or dataset, they do not fit, or `output` contains something
            else or cannot be written.
        LockHeldError: another process writes to the output.
        RunError: the network cannot be converted, or the export predicts something else.
    """
    if export_format == ONNX:
        onnx_file.check_python()
    model, output = map(storage.normalise_url, (model, output))
    source = _read_source(model, dataset and storage.normalise_url(dataset), quantise)
    settings: dict[str, Any] = {
        "schema": _SCHEMA_VERSION,
        "format": export_format,
        "model_version": source.model_info.version,
    }
    if export_format == TFLITE:
        settings["quantise"] = quantise
    if source.calibration_rows:
        settings["fingerprint"] = source.calibration_rows.data.fingerprint
    parts = PARTS[export_format]
    previous = read_previous_export(output, settings, parts)
    if previous and not _missing_files(output, previous):
        return ModelExport(previous, False)
    model_directory.check_network(model, source.model_info)
    with hold_output(output, "export") as lock, tempfile.TemporaryDirectory() as folder:
        read_previous_export(output, settings, parts)  # another process may have written since
        measures = _make_export(source, export_format, folder)
        files = _describe_files(folder)
        export_info = {
            **settings,
            **describe_origin(),
            "labels": source.model_info.labels,
            "pixels": source.model_info.pixels.model_dump(mode="json"),
            **measures,
            "files": files,
            "size_bytes": sum(file["size_bytes"] for file in files),
        }
        lock.check()
        _remove_parts(output, parts)
        _copy_files(folder, output, files)
        lock.check()
        storage.write_json(storage.join(output, EXPORT_FILE), export_info)
    return ModelExport(export_info, True)


def _read_source(model: str, dataset: Optional[str], quantise: str) -> _Source:
    model_info = model_directory.read_model_info(model)
    if dataset is None:
        if quantise == INT8:
            raise InputError(
                "--quantise int8 needs rows of a dataset, from which the ranges of all values are "
                "measured; give --dataset URL, or paths.dataset in the config file"
            )
        return _Source(model, model_info, None, None)
    data = manifest.read_manifest(dataset)
    model_directory.check_model_fits(model_info, data, model, dataset)
    test_rows = first_rows(dataset, data, TEST_SPLITS, MAX_TEST_ROWS)
    if quantise != INT8:
        return _Source(model, model_info, test_rows, None)
    calibration_rows = first_rows(dataset, data, CALIBRATION_SPLITS, MAX_CALIBRATION_ROWS)
    return _Source(model, model_info, test_rows, calibration_rows)


def _missing_files(output: str, export_info: dict[str, Any]) -> list[str]:
    """Return the files of an export that are missing or have another size."""
    return [
        file["path"]
        for file in export_info["files"]
        if storage.file_size(storage.join(output, file["path"])) != file["size_bytes"]
    ]


def _make_export(source: _Source, export_format: str, folder: str) -> dict[str, Any]:
    """Write the files of an export to a local folder, and return its measures for export.json."""
    # Parity is that of CPUs, and a GPU would round otherwise.
    with suppress(RuntimeError):  # it has run something in this process
        gpus.take_no_gpu()
    info = source.model_info
    network = saved_model.load_network(storage.join(source.model, info.network))
    exported = ExportedNetwork(network, info.labels, info.shape())
    calibration = source.calibration_rows
    write_files(export_format, exported, info.pixels, folder, calibration)
    predict = load_predictor(export_format, folder, num_threads(1))
    parity = compare_predictions(exported.predict(), predict, exported.shape, source.test_rows)
    if calibration is None:
        check_parity(parity)
    measures: dict[str, Any] = {"parity": parity._asdict()}
    if calibration is None:
        measures["parity"]["limit"] = MAX_DIFFERENCE
    else:
        measures["calibration"] = {"images": str(calibration), "rows": calibration.num_rows}
    report = measure_latency(export_format, folder, exported.shape)
    measures["latency"] = {
        "is_pinned": report.is_pinned,
        "batches": [latency._asdict() for latency in report.latencies],
    }
    return measures


def _remove_parts(output: str, parts: Sequence[str]) -> None:
    """Remove what a killed call has left, or an export that lost a file."""
    for part in [EXPORT_FILE, *parts]:
        storage.remove(storage.join(output, part))


def _copy_files(folder: str, output: str, files: Sequence[dict[str, Any]]) -> None:
    for file in files:
        with open(os.path.join(folder, file["path"]), "rb") as content:
            storage.write_bytes(storage.join(output, file["path"]), content.read())


def _describe_files(folder: str) -> list[dict[str, Any]]:
    """Return path and size of each file below a local folder, in order."""
    files = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            relative = os.path.relpath(path, folder).replace(os.sep, "/")
            files.append({"path": relative, "size_bytes": os.path.getsize(path)})
    return sorted(files, key=lambda file: str(file["path"]))
