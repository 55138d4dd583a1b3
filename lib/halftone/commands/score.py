"""Score a dataset or raw images with a model: predictions, metrics and a report."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack

from halftone import cli, summary
from halftone.commands import catalogue
from halftone.config import Config, require_path
from halftone.dataset.named_dataset import with_dataset_url
from halftone.lineage.job_run import report_job
from halftone.scoring import score_dataset, score_images
from halftone.scoring.fit_thresholds import needs_validation_split
from halftone.spark.session import session_on_demand
from halftone.tracking import mlflow_model, scores_card


def run(args: Namespace) -> int:
    """Run the job with the config of the flags; return its exit code."""
    return cli.run_job(_score, catalogue.SCORE, args)


def _score(config: Config) -> None:
    images = config.paths.new_images
    model = require_path(config.paths.model, "model", "--model")
    output = require_path(config.paths.scores, "scores", "--output")
    if not images:
        require_path(config.paths.dataset, "dataset", "--dataset")
    with ExitStack() as stack:
        session = stack.enter_context(session_on_demand(f"{config.name}: score", config.spark))
        if not images or needs_validation_split(config.score):
            config = with_dataset_url(config, session)
        source = images or require_path(config.paths.dataset, "dataset", "--dataset")
        inputs = {"images" if images else "dataset": source, "model": model}
        stack.enter_context(report_job(config.name, "score", inputs, {"scores": output}))
        if mlflow_model.is_mlflow_uri(model):
            model = mlflow_model.fetch_model(model, output, config.tracking)
        if images:
            image_scores = score_images.score_images(config, source, model, output, session)
            text = summary.format_image_scores_summary(image_scores, output)
        else:
            scores = score_dataset.score_dataset(config, source, model, output, session)
            scores_card.send_scores_card(config.tracking, model, output, scores.split)
            text = summary.format_scores_summary(scores, output)
    print(text)
