"""Retrain on new images: preprocess, train a challenger, compare it, promote or keep, notify.

python jobs/retrain.py --config conf/retrain.yaml
spark-submit --py-files dist/halftone.zip jobs/retrain.py --config conf/retrain.yaml

A scheduler runs it, such as every night. Exit codes: 0 done, 2 error in config or input, 3 refused
(only with retrain.fail_on_refusal), 4 another call is running, 5 failed, try again. The last line
is the outcome as JSON.
"""

import argparse
import sys

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
    add("--accept-drift", action="store_true", help="accept the new images as normal")
    group = parser.add_mutually_exclusive_group()
    add = group.add_argument
    add("--dry-run", action="store_true", help="decide, but leave the promotion to the next call")
    add("--promote", metavar="VERSION", help="only make this version champion")
    add("--rollback", action="store_true", help="only make the previous champion champion again")
    add("--history", action="store_true", help="only print the outcomes of all runs")
    return command.main(command.RetrainArguments(**vars(parser.parse_args())))


if __name__ == "__main__":
    sys.exit(main())
