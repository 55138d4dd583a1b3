"""Find images whose label is probably wrong, and write a catalogue to correct them.

python jobs/label_errors.py --config conf/local.yaml --folds 5 --output out/demo/label-errors
spark-submit --py-files dist/halftone.zip jobs/label_errors.py --config conf/faces.yaml
"""

from halftone.system import job_process

if __name__ == "__main__":
    job_process.start()  # before the imports below, which take seconds

from contextlib import ExitStack
from functools import partial

from halftone import cli
from halftone.config import Config
from halftone.label_errors import command, findings
from halftone.spark.session import spark_session


def job(config: Config) -> None:
    with ExitStack() as stack:
        session = partial(
            stack.enter_context, spark_session(f"{config.name}: label errors", config.spark)
        )
        found, output = command.find_label_errors(config, session)
        print(findings.format_findings(found, output))


if __name__ == "__main__":
    flags = {"--images": "images", "--output": "label_errors"}
    job_process.leave(
        cli.run_job(
            job,
            __doc__,
            flags,
            output_keys=["label_errors"],
            options={"--folds": "splits.folds"},
        )
    )
