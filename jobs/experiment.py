"""A table of trainings, with a paper's figures beside ours.

python jobs/experiment.py --config conf/experiments/regularised-convnets.yaml --input DIR
spark-submit --py-files dist/halftone.zip jobs/experiment.py --config FILE --input s3://bucket/faces
"""

import argparse
import sys

from halftone import cli
from halftone.experiment import command


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, metavar="FILE", help="the experiment's YAML")
    parser.add_argument("--input", metavar="URL", help="overrides base.paths.images")
    parser.add_argument("--output", metavar="URL", help="default: out/experiments/NAME")
    parser.add_argument("--epochs", type=int, metavar="N", help="of every run, instead of its own")
    parser.add_argument("--subset", type=int, metavar="N", help="N images, even over classes")
    given = parser.parse_args()
    return cli.run_with_exit_code(
        lambda: command.run_experiment(
            given.config, given.input, given.output, given.epochs, given.subset
        )
    )


if __name__ == "__main__":
    sys.exit(main())
