"""Run the trainings of an experiment and write a table of their results beside a paper's.

python jobs/experiment.py --config conf/experiments/regularised-convnets.yaml --input DIR
spark-submit --py-files dist/halftone.zip jobs/experiment.py --config FILE --input s3://bucket/faces
"""

from halftone.system import job_process

if __name__ == "__main__":
    job_process.start()  # before the imports below, which take seconds

import argparse

from halftone import cli, logs
from halftone.experiment import command


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, metavar="FILE", help="the experiment's YAML")
    parser.add_argument("--input", metavar="URL", help="overrides base.paths.images")
    parser.add_argument("--output", metavar="URL", help="default: out/experiments/NAME")
    parser.add_argument(
        "--epochs", type=int, metavar="N", help="overrides train.epochs of all runs"
    )
    parser.add_argument(
        "--subset", type=int, metavar="N", help="use N images only, equally many of each class"
    )
    logs.add_arguments(parser)
    args = parser.parse_args()

    def job() -> None:
        logs.configure(args)
        command.run_experiment(args.config, args.input, args.output, args.epochs, args.subset)

    return cli.run_with_exit_code(job)


if __name__ == "__main__":
    job_process.leave(main())
