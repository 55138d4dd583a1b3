"""The flags of the command that draws the sample."""

from __future__ import annotations

import argparse


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generate_sample`."""
    parser.add_argument("--output", required=True, metavar="DIR", help="directory to fill")
    parser.add_argument("--pairs", type=int, default=400, metavar="N", help="default 400")
    parser.add_argument("--seed", type=int, default=7, metavar="N", help="default 7")
    parser.add_argument(
        "--size-px", type=int, default=1024, metavar="N", help="side of a picture, default 1024"
    )
    parser.add_argument(
        "--processes", type=int, metavar="N", help="default: one for each core of this machine"
    )
