"""Convert raw images to a dataset."""

from __future__ import annotations

from argparse import Namespace

from halftone import cli, summary
from halftone.commands import catalogue
from halftone.config import Config, require_path
from halftone.lineage.job_run import report_job
from halftone.preprocess import dry_run
from halftone.preprocess.run import preprocess
from halftone.spark.session import session_on_demand


def run(args: Namespace) -> int:
    """Run the job with the config of the flags; return its exit code."""
    return cli.run_job(_preprocess, catalogue.PREPROCESS, args)


def _preprocess(config: Config, estimate: bool, retry_rejects: bool, prune: bool) -> None:
    images = require_path(config.paths.images, "images", "--input")
    with session_on_demand(f"{config.name}: preprocess", config.spark) as session:
        if estimate:
            result = dry_run.estimate_preprocessing(config, images, session)
            print(dry_run.format_estimate(result))
            return
        dataset = require_path(config.paths.dataset, "dataset", "--output")
        with report_job(config.name, "preprocess", {"images": images}, {"dataset": dataset}):
            manifest, num_changed = preprocess(
                config, images, dataset, session, retry_rejects=retry_rejects, prune=prune
            )
        print(summary.format_dataset_summary(manifest, dataset, num_changed))
