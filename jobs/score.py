"""Model and dataset, or raw images, to predictions, metrics and a report.

python jobs/score.py --config conf/local.yaml
python jobs/score.py --config conf/local.yaml --images new/ --output new-scores/
spark-submit --py-files dist/halftone.zip jobs/score.py --config conf/faces.yaml
"""

import sys
from contextlib import ExitStack
from functools import partial

from halftone import cli, summary
from halftone.config import Config, required
from halftone.scoring import score_dataset, score_images
from halftone.spark.session import spark_session
from halftone.tracking import mlflow_model


def job(config: Config) -> None:
    images, dataset = config.paths.new_images, config.paths.dataset
    model = required(config.paths.model, "model", "--model")
    output = required(config.paths.scores, "scores", "--output")
    source = images or required(dataset, "dataset", "--dataset")
    if mlflow_model.is_mlflow(model):
        model = mlflow_model.fetch(model, output, config.tracking)
    with ExitStack() as stack:
        session = partial(stack.enter_context, spark_session(f"{config.name}: score", config.spark))
        score = score_images.score if images else score_dataset.score
        result = score(config, source, model, output, session)
    print((summary.of_new_images if images else summary.of_scores)(result, output))


if __name__ == "__main__":
    flags = {
        "--dataset": "dataset",
        "--images": "new_images",
        "--model": "model",
        "--output": "scores",
        "--baseline": "baseline",
    }
    sys.exit(cli.run_job(job, __doc__, flags, writes=["scores"]))
