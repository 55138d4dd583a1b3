"""Export a trained model for other runtimes, or a dataset as TFRecord files for tf.data."""

from __future__ import annotations

from argparse import Namespace
from importlib.util import find_spec

from halftone import cli, config, job_start
from halftone.dataset.named_dataset import with_dataset_url
from halftone.errors import MissingPackageError
from halftone.export import command
from halftone.export.flags import ONNX
from halftone.lineage.job_run import report_job
from halftone.spark.session import session_on_demand


def run(args: Namespace) -> int:
    """Export what the flags select; return the exit code."""
    return cli.run_with_exit_code(lambda: _export(args))


def _export(args: Namespace) -> None:
    if args.format == ONNX:
        for package in ("onnx", "onnxruntime"):  # tf2onnx does not exist for all Pythons
            if find_spec(package) is None:
                raise MissingPackageError("--format onnx", package, "export")
    paths = {"dataset": args.dataset, "model": args.model}
    given = [
        config.parse_flag(f"--{name}", f"paths.{name}", url)
        for name, url in paths.items()
        if url is not None
    ]
    settings = config.load_config(args.config, [*args.set, *given])
    job_start.apply_settings(settings)
    command.list_inputs(settings, args)  # finds wrong flags before a session is started
    with session_on_demand(f"{settings.name}: export", settings.spark) as session:
        settings = with_dataset_url(settings, session)
        inputs, outputs = command.list_inputs(settings, args), {"export": args.output}
        with report_job(settings.name, "export", inputs, outputs):
            print(command.run_export(settings, args, session))
