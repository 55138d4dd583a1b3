"""Export a trained model for other runtimes, or a dataset as TFRecord files for tf.data."""

from __future__ import annotations

from argparse import Namespace

from halftone import cli, config
from halftone.export import command
from halftone.lineage.job_run import report_job
from halftone.storage import clients


def run(args: Namespace) -> int:
    """Export what the flags select; return the exit code."""
    return cli.run_with_exit_code(lambda: _export(args))


def _export(args: Namespace) -> None:
    paths = {"dataset": args.dataset, "model": args.model}
    settings = config.load_config(args.config, args.set, paths)
    clients.set_options(settings.storage.options)
    inputs, outputs = command.list_inputs(settings, args), {"export": args.output}
    with report_job(settings.name, "export", inputs, outputs):
        print(command.run_export(settings, args))
