"""Train a model on a dataset, with one Horovod rank or several.

python jobs/train.py --config conf/local.yaml
spark-submit --py-files dist/halftone.zip jobs/train.py --config conf/faces.yaml
"""

from halftone.system import job_process

if __name__ == "__main__":
    job_process.start()  # before the imports below, which take seconds

from contextlib import ExitStack
from functools import partial

from halftone import cli, summary
from halftone.config import Config, require_path
from halftone.launch.train import train_model
from halftone.lineage.job_run import report_job
from halftone.spark.session import spark_session


def job(config: Config) -> None:
    dataset = require_path(config.paths.dataset, "dataset", "--dataset")
    output = require_path(config.paths.model, "model", "--output")
    with ExitStack() as stack:
        stack.enter_context(
            report_job(config.name, "train", {"dataset": dataset}, {"model": output})
        )
        model_info = train_model(
            config,
            dataset,
            output,
            partial(stack.enter_context, spark_session(f"{config.name}: train", config.spark)),
        )
    print(summary.format_model_summary(model_info, output))


if __name__ == "__main__":
    flags = {"--dataset": "dataset", "--output": "model"}
    job_process.leave(cli.run_job(job, __doc__, flags, output_keys=["model"]))
