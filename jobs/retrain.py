"""What a scheduler calls every night: take in new images, train, compare, promote or keep, tell.

python jobs/retrain.py --config conf/retrain.yaml
spark-submit --py-files dist/halftone.zip jobs/retrain.py --config conf/retrain.yaml

Exit codes: 0 done, 2 config or input, 3 refused (retrain.fail_on_refusal), 4 another is at it,
5 failed and may be tried again. The last line is the outcome as JSON.
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
    add("--accept-drift", action="store_true", help="take the new images for normal")
    what = parser.add_mutually_exclusive_group()
    add = what.add_argument
    add("--dry-run", action="store_true", help="decide, and leave the promotion to the next call")
    add("--promote", metavar="VERSION", help="make this version champion, and do nothing else")
    add("--rollback", action="store_true", help="go back to the champion before, and no more")
    add("--history", action="store_true", help="print what came of each night, and do nothing")
    return command.main(command.RetrainArguments(**vars(parser.parse_args())))


if __name__ == "__main__":
    sys.exit(main())
