"""The flags of the sub-commands that are not described by `JobFlags`."""

from __future__ import annotations

import argparse

from halftone.cli.flags import add_config_flag, add_set_flag

SHELLS = ("bash", "zsh")
CONFIG, EXPERIMENT = "config", "experiment"


def add_experiment_flags(parser: argparse.ArgumentParser) -> None:
    add_config_flag(parser, "the experiment's YAML")
    parser.add_argument("--input", metavar="URL", help="overrides base.paths.images")
    parser.add_argument("--output", metavar="URL", help="default: out/experiments/NAME")
    parser.add_argument(
        "--epochs", type=int, metavar="N", help="overrides train.epochs of all runs"
    )
    parser.add_argument(
        "--subset", type=int, metavar="N", help="use N images only, equally many of each class"
    )


def add_retrain_flags(parser: argparse.ArgumentParser) -> None:
    add_config_flag(parser)
    parser.add_argument("--input", dest="images", metavar="URL", help="overrides paths.images")
    parser.add_argument("--changes", metavar="URL", help="overrides paths.changes")
    add_set_flag(parser)
    parser.add_argument(
        "--accept-drift", action="store_true", help="train in spite of drift of the new images"
    )
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument(
        "--dry-run", action="store_true", help="decide, and leave the promotion to the next call"
    )
    actions.add_argument("--promote", metavar="VERSION", help="only make this version the champion")
    actions.add_argument(
        "--rollback", action="store_true", help="only restore the previous champion"
    )
    actions.add_argument(
        "--history", action="store_true", help="only print the outcomes of all runs"
    )


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    add_config_flag(parser)
    add_set_flag(parser)


def add_schema_kind(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "of",
        nargs="?",
        choices=(CONFIG, EXPERIMENT),
        default=CONFIG,
        help="the kind of file that the schema describes; default: config",
    )


def add_shell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell that will read the script")
