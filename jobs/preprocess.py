"""Convert raw images to a dataset.

python jobs/preprocess.py --config conf/local.yaml
spark-submit --py-files dist/halftone.zip jobs/preprocess.py --config conf/faces.yaml
"""

from halftone.system import job_process

if __name__ == "__main__":
    job_process.start()  # before the imports below, which take seconds

from contextlib import ExitStack
from functools import partial

from halftone import cli, summary
from halftone.config import Config, require_path
from halftone.lineage.job_run import report_job
from halftone.preprocess import dry_run
from halftone.preprocess.run import preprocess
from halftone.spark.session import spark_session


def job(config: Config, estimate: bool, retry_rejects: bool, prune: bool) -> None:
    images = require_path(config.paths.images, "images", "--input")
    with ExitStack() as stack:
        session = partial(
            stack.enter_context, spark_session(f"{config.name}: preprocess", config.spark)
        )
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


if __name__ == "__main__":
    flags = {"--input": "images", "--output": "dataset"}
    switches = {
        "--estimate": "decode a sample, print estimates for all images, and write nothing",
        "--retry-rejects": "only read the rejected images again",
        "--prune": "remove images that no longer exist from the dataset",
    }
    job_process.leave(cli.run_job(job, __doc__, flags, switches=switches, output_keys=["dataset"]))
