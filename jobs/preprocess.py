"""Raw images to a dataset.

python jobs/preprocess.py --config conf/local.yaml
spark-submit --py-files dist/halftone.zip jobs/preprocess.py --config conf/faces.yaml
"""

import sys
from contextlib import ExitStack
from functools import partial

from halftone import cli, summary
from halftone.config import Config, require_path
from halftone.preprocess import dry_run as estimates
from halftone.preprocess.run import preprocess
from halftone.spark.session import spark_session


def job(config: Config, estimate: bool, retry_rejects: bool, prune: bool) -> None:
    images = require_path(config.paths.images, "images", "--input")
    with ExitStack() as stack:
        session = partial(
            stack.enter_context, spark_session(f"{config.name}: preprocess", config.spark)
        )
        if estimate:
            print(
                estimates.format_estimate(estimates.estimate_preprocessing(config, images, session))
            )
            return
        dataset = require_path(config.paths.dataset, "dataset", "--output")
        made, num_read = preprocess(
            config, images, dataset, session, retry_rejects=retry_rejects, prune=prune
        )
        print(summary.format_dataset_summary(made, dataset, num_read))


if __name__ == "__main__":
    flags = {"--input": "images", "--output": "dataset"}
    switches = {
        "--estimate": "decode a sample, say what all would give and cost, and write nothing",
        "--retry-rejects": "read the rejected images again, and no others",
        "--prune": "forget images that are no longer there",
    }
    sys.exit(cli.run_job(job, __doc__, flags, switches=switches, output_keys=["dataset"]))
