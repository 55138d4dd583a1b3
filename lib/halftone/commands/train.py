"""Train a model on a dataset, with one Horovod rank or several."""

from __future__ import annotations

from argparse import Namespace

from halftone import cli, summary
from halftone.commands import catalogue
from halftone.config import Config, require_path
from halftone.dataset.named_dataset import with_dataset_url
from halftone.launch.train import train_model
from halftone.lineage.job_run import report_job
from halftone.spark.session import session_on_demand


def run(args: Namespace) -> int:
    """Run the job with the config of the flags; return its exit code."""
    return cli.run_job(_train, catalogue.TRAIN, args)


def _train(config: Config) -> None:
    require_path(config.paths.dataset, "dataset", "--dataset")
    output = require_path(config.paths.model, "model", "--output")
    with session_on_demand(f"{config.name}: train", config.spark) as session:
        config = with_dataset_url(config, session)
        dataset = require_path(config.paths.dataset, "dataset", "--dataset")
        with report_job(config.name, "train", {"dataset": dataset}, {"model": output}):
            model_info = train_model(config, dataset, output, session)
    print(summary.format_model_summary(model_info, output))
