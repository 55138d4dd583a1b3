"""Model and dataset to predictions, metrics and a report.

python jobs/score.py --config conf/local.yaml
spark-submit --py-files dist/halftone.zip jobs/score.py --config conf/faces.yaml
"""

import sys
from contextlib import ExitStack
from functools import partial

from halftone import cli, summary
from halftone.config import Config, required
from halftone.scoring import score
from halftone.session import spark_session


def job(config: Config) -> None:
    dataset = required(config.paths.dataset, "dataset", "--dataset")
    model = required(config.paths.model, "model", "--model")
    output = required(config.paths.scores, "scores", "--output")
    with ExitStack() as stack:
        result = score(
            config,
            dataset,
            model,
            output,
            partial(stack.enter_context, spark_session(f"{config.name}: score", config.spark)),
        )
    print(summary.of_scores(result, output))


if __name__ == "__main__":
    flags = {"--dataset": "dataset", "--model": "model", "--output": "scores"}
    sys.exit(cli.run_job(job, __doc__, flags))
