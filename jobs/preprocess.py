"""Raw images to a dataset.

python jobs/preprocess.py --config conf/local.yaml
spark-submit --py-files dist/halftone.zip jobs/preprocess.py --config conf/faces.yaml
"""

import sys
from contextlib import ExitStack

from halftone import cli, summary
from halftone.config import Config, required
from halftone.preprocess import preprocess
from halftone.session import spark_session


def job(config: Config) -> None:
    images = required(config.paths.images, "images", "--input")
    dataset = required(config.paths.dataset, "dataset", "--output")
    with ExitStack() as stack:
        made, is_new = preprocess(
            config,
            images,
            dataset,
            lambda: stack.enter_context(spark_session(f"{config.name}: preprocess", config.spark)),
        )
    print(summary.of_dataset(made, dataset, is_new))


if __name__ == "__main__":
    sys.exit(cli.run_job(job, __doc__, {"--input": "images", "--output": "dataset"}))
