"""Write and open an exported network by the name of its format."""

from __future__ import annotations

from typing import Optional

from halftone.config import PixelSpec
from halftone.export import onnx_file, saved_model_folder, tflite_file
from halftone.export.dataset_rows import DatasetRows
from halftone.export.exported_network import ExportedNetwork, Predict
from halftone.export.flags import ONNX, SAVED_MODEL, TFLITE

# The names that an export of a format has in its folder.
PARTS = {
    SAVED_MODEL: [saved_model_folder.FOLDER],
    ONNX: [onnx_file.FILE],
    TFLITE: [tflite_file.FILE],
}


def write_files(
    export_format: str,
    exported: ExportedNetwork,
    spec: PixelSpec,
    folder: str,
    calibration: Optional[DatasetRows],
) -> None:
    """Write the files of a format to `folder`, a local path.

    Args:
        spec: how images are decoded.
        calibration: rows for 8-bit integers; None for float32.

    Raises:
        RunError: the network cannot be converted.
    """
    if export_format == SAVED_MODEL:
        saved_model_folder.write_model(exported, spec, folder)
    elif export_format == ONNX:
        onnx_file.write_model(exported, folder)
    else:
        tflite_file.write_model(exported, folder, calibration)


def load_predictor(export_format: str, folder: str, num_threads: int) -> Predict:
    """Return the prediction with the files of an export in `folder`, a local path.

    Args:
        num_threads: of ONNX Runtime or TensorFlow Lite; TensorFlow has those of the process.
    """
    if export_format == SAVED_MODEL:
        return saved_model_folder.load_predictor(folder)
    if export_format == ONNX:
        return onnx_file.load_predictor(folder, num_threads)
    return tflite_file.load_predictor(folder, num_threads)
