"""Retrain on new images, compare with the champion, promote or keep, and notify; for schedulers.

python jobs/retrain.py --config conf/retrain.yaml
spark-submit --py-files dist/halftone.zip jobs/retrain.py --config conf/retrain.yaml

Exit codes: 0 success, 2 wrong config or input, 3 refused (retrain.fail_on_refusal), 4 another call
is running, 5 failed and may be tried again, 130 interrupted, 143 stopped by SIGTERM. The last line
of the output is the outcome as JSON.
"""

from halftone.retrain import interruption
from halftone.system import job_process

if __name__ == "__main__":
    job_process.start(interruption.print_outcome)  # before the imports below, which take seconds

import argparse

from halftone import logs
from halftone.retrain import command


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config", required=True, metavar="FILE", help="YAML file of settings")
    add("--input", dest="images", metavar="URL", help="overrides paths.images")
    add(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="overrides one setting, such as train.epochs=3; may be repeated",
    )
    add("--accept-drift", action="store_true", help="train in spite of drift of the new images")
    actions = parser.add_mutually_exclusive_group()
    add = actions.add_argument
    add("--dry-run", action="store_true", help="decide, and leave the promotion to the next call")
    add("--promote", metavar="VERSION", help="only make this version the champion")
    add("--rollback", action="store_true", help="only restore the previous champion")
    add("--history", action="store_true", help="only print the outcomes of all runs")
    logs.add_arguments(parser)
    return command.main(command.RetrainArguments(**vars(parser.parse_args())))


if __name__ == "__main__":
    job_process.leave(main())
