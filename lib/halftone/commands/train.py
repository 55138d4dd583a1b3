"""Train a model on a dataset, with one Horovod rank or several."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from functools import cache, partial

from halftone import cli, summary
from halftone.commands import catalogue
from halftone.config import Config, require_path
from halftone.dataset.named_dataset import with_dataset_url
from halftone.launch.train import train_model
from halftone.lineage.job_run import report_job
from halftone.spark.session import spark_session


def run(args: Namespace) -> int:
    """Run the job with the config of the flags; return its exit code."""
    return cli.run_job(_train, catalogue.TRAIN, args)


def _train(config: Config) -> None:
    require_path(config.paths.dataset, "dataset", "--dataset")
    output = require_path(config.paths.model, "model", "--output")
    with ExitStack() as stack:
        session = cache(
            partial(stack.enter_context, spark_session(f"{config.name}: train", config.spark))
        )
        config = with_dataset_url(config, session)
        dataset = require_path(config.paths.dataset, "dataset", "--dataset")
        stack.enter_context(
            report_job(config.name, "train", {"dataset": dataset}, {"model": output})
        )
        model_info = train_model(config, dataset, output, session)
    print(summary.format_model_summary(model_info, output))
