"""The flags of an export, and the names of its formats."""

from __future__ import annotations

import argparse

# The values of `format`; an older Halftone wrote the first one, without the key.
TFRECORD, SAVED_MODEL, ONNX, TFLITE = FORMATS = ("tfrecord", "savedmodel", "onnx", "tflite")
FLOAT, INT8 = QUANTISATIONS = ("none", "int8")  # of tflite


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `run_export` reads."""
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=TFRECORD,
        help="tfrecord exports the dataset (default); the others export the model",
    )
    parser.add_argument("--dataset", metavar="URL", help="overrides paths.dataset")
    parser.add_argument("--model", metavar="URL", help="overrides paths.model")
    parser.add_argument("--output", required=True, metavar="URL", help="folder of the new files")
    parser.add_argument("--gzip", action="store_true", help="tfrecord: compress the files")
    parser.add_argument(
        "--quantise",
        choices=QUANTISATIONS,
        default=FLOAT,
        help="tflite: int8 computes in 8-bit integers, calibrated on validation rows",
    )
