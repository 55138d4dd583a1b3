"""Export what the flags of the command select."""

from __future__ import annotations

import argparse
import os
import tempfile
from typing import Callable

from pyspark.sql import SparkSession

from halftone import storage
from halftone.config import Config, require_path
from halftone.errors import InputError
from halftone.export.flags import INT8, TFLITE, TFRECORD
from halftone.locking.output import check_output
from halftone.tracking import mlflow_model


def list_inputs(config: Config, args: argparse.Namespace) -> dict[str, str]:
    """Return the URLs of what the export reads, by kind.

    Raises:
        InputError: a flag is wrong, or a path is not set.
    """
    _check_flags(args)
    if args.format == TFRECORD:
        return {"dataset": require_path(config.paths.dataset, "dataset", "--dataset")}
    model = require_path(config.paths.model, "model", "--model")
    return {"model": model, **({"dataset": config.paths.dataset} if config.paths.dataset else {})}


def run_export(
    config: Config, args: argparse.Namespace, session: Callable[[], SparkSession]
) -> str:
    """Export what the flags select; return the summary.

    Args:
        session: returns the SparkSession; called only if a dataset is exported.

    Raises:
        InputError: flags, config or inputs are wrong.
        LockHeldError: another process writes to the output.
        RunError: the export failed.
    """
    _check_flags(args)
    if args.format == TFRECORD:
        return _export_dataset(config, args, session)
    return _export_model(config, args)


def _check_flags(args: argparse.Namespace) -> None:
    for flag, is_set, export_format in (
        ("--gzip", args.gzip, TFRECORD),
        ("--quantise int8", args.quantise == INT8, TFLITE),
    ):
        if is_set and args.format != export_format:
            raise InputError(
                f"{flag} is for --format {export_format}, and the format is {args.format}; remove "
                "it, or change the format"
            )


def _export_dataset(
    config: Config, args: argparse.Namespace, session: Callable[[], SparkSession]
) -> str:
    from halftone.export import tfrecord

    dataset = require_path(config.paths.dataset, "dataset", "--dataset")
    compression = "GZIP" if args.gzip else ""
    result = tfrecord.export_dataset(dataset, args.output, compression, session)
    return tfrecord.format_summary(result, args.output)


def _export_model(config: Config, args: argparse.Namespace) -> str:
    model = require_path(config.paths.model, "model", "--model")
    check_output(storage.normalise_url(args.output))
    with tempfile.TemporaryDirectory() as folder:
        if mlflow_model.is_mlflow_uri(model):
            # Only this process reads the model, so no copy of it stays.
            model = mlflow_model.fetch_model(model, folder, config.tracking)
        # They import TensorFlow, which takes seconds, and logs what it finds on the machine.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from halftone.export import export_model, model_summary

        export = export_model.export_model(
            model, args.output, args.format, config.paths.dataset, args.quantise
        )
    return model_summary.format_model_export(export, args.output)
