"""Dataset to model, on one Horovod rank or many.

python jobs/train.py --config conf/local.yaml
spark-submit --py-files dist/halftone.zip jobs/train.py --config conf/faces.yaml
"""

import sys
from contextlib import ExitStack
from functools import partial

from halftone import cli, summary
from halftone.config import Config, required
from halftone.launch.train import train
from halftone.spark.session import spark_session


def job(config: Config) -> None:
    dataset = required(config.paths.dataset, "dataset", "--dataset")
    output = required(config.paths.model, "model", "--output")
    with ExitStack() as stack:
        card = train(
            config,
            dataset,
            output,
            partial(stack.enter_context, spark_session(f"{config.name}: train", config.spark)),
        )
    print(summary.of_model(card, output))


if __name__ == "__main__":
    flags = {"--dataset": "dataset", "--output": "model"}
    sys.exit(cli.run_job(job, __doc__, flags, writes=["model"]))
