"""Flip labels of CIFAR-10, search for wrong labels, and print how many of the flipped are found.

    python benchmarks/label_errors.py --images DIR --share 0.05 --folds 3

DIR holds train/<class>/ and test/<class>/. A share of the train labels, chosen by the seed, is
replaced by another class, each with the same probability. The job reads them from a table, so the
images stay as they are. The acceptance figure is the share of the flipped labels in the first rows
of the list, as many as there are flipped labels: 70 % or more. A wrong label that CIFAR-10 has by
itself counts as not flipped. See docs/how-to/label-errors.md.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
import pyarrow.parquet as pq

from halftone.storage import read_json

_HERE = Path(__file__).resolve().parent
_CONFIG = _HERE / "label_errors.yaml"
_GOAL = 0.7
_LIST = "the list: all rows by probability of the label"


class FlippedLabels(NamedTuple):
    labels: dict[str, str]  # by path: what the table says
    flipped: dict[str, str]  # by path: the original label of those that were changed


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return exit code 0 if the goal is reached, else 1."""
    args = _parser().parse_args(argv)
    images, work = args.images.resolve(), args.work.resolve()
    paths = list_images(images, args.limit)
    if not paths:
        print(f"{images}: has no train/<class>/ with images", file=sys.stderr)
        return 2
    flips = flip_labels(paths, args.share, args.seed)
    work.mkdir(parents=True, exist_ok=True)
    table = work / "flipped.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label"), *flips.labels.items()])
    settings = [f"preprocess.catalogue={table}", *args.set]
    command = [sys.executable, str(_HERE.parent / "jobs" / "label_errors.py")]
    command += ["--config", str(args.config), "--images", str(images)]
    command += ["--folds", str(args.folds), "--output", str(work / "label-errors")]
    command += [part for setting in settings for part in ("--set", setting)]
    started = time.monotonic()
    subprocess.run(command, check=True)
    secs = time.monotonic() - started
    return _report(flips, images, work / "label-errors", secs)


def list_images(images: Path, limit: Optional[int]) -> list[str]:
    """Return paths of images below a folder: all, or `limit` train images, as many of each class.

    With a limit there are no test images.
    """
    by_class = [
        sorted(path.relative_to(images).as_posix() for path in folder.iterdir())
        for folder in sorted(images.glob("train/*"))
    ]
    if limit is not None:
        return [path for paths in by_class for path in paths[: limit // len(by_class)]]
    tests = sorted(path.relative_to(images).as_posix() for path in images.glob("test/*/*"))
    return [*(path for paths in by_class for path in paths), *tests]


def flip_labels(paths: Sequence[str], share: float, seed: int) -> FlippedLabels:
    """Replace a share of the train labels by another class, each with the same probability."""
    labels = {path: path.split("/")[1] for path in paths}
    classes = sorted(set(labels.values()))
    train = [path for path in paths if path.startswith("train/")]
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(train), round(share * len(train)), replace=False)
    flipped = {}
    for number in sorted(chosen.tolist()):
        path = train[number]
        flipped[path] = labels[path]
        others = [name for name in classes if name != labels[path]]
        labels[path] = others[rng.integers(len(others))]
    return FlippedLabels(labels, flipped)


def share_found(order: np.ndarray, is_flipped: np.ndarray) -> float:
    """Return the share of flipped rows among the first ones, as many as there are flipped rows."""
    return float(is_flipped[order][: is_flipped.sum()].mean())


def _report(flips: FlippedLabels, images: Path, output: Path, secs: float) -> int:
    found: dict[str, Any] = read_json(str(output / "label_errors.json"))
    table = pq.read_table(output / "label_errors.parquet").to_pydict()
    paths = [key.removeprefix(f"{images}/") for key in table["key"]]
    is_flipped = np.array([path in flips.flipped for path in paths])
    label, other = (
        np.array(table[name]) for name in ("label_probability", "suggested_probability")
    )
    is_issue = np.array(table["is_confident"])
    orders = {
        _LIST: np.argsort(table["rank"]),
        "all rows by margin": np.argsort(label - other, kind="stable"),
        "issues first, by probability of the label": np.lexsort((label, ~is_issue)),
        "issues first, by margin": np.lexsort((label - other, ~is_issue)),
    }
    print(f"\n{is_flipped.sum():,} of {len(paths):,} labels are flipped; {secs:,.0f} s")
    print(f"estimated to be wrong: {found['estimated_errors']:,.0f}")
    print(f"issues: {is_issue.sum():,}, of which {is_flipped[is_issue].sum():,} are flipped")
    suggested = [
        name == flips.flipped[path]
        for name, path, is_wrong in zip(table["suggested_label"], paths, is_issue & is_flipped)
        if is_wrong
    ]
    print(f"of these the original label is suggested for {np.mean(suggested):.1%}")
    for name, order in orders.items():
        print(
            f"flipped labels in the first {is_flipped.sum():,} rows, {name}: "
            f"{share_found(order, is_flipped):.1%}"
        )
    share = share_found(orders[_LIST], is_flipped)
    print(f"goal of {_GOAL:.0%}: {'reached' if share >= _GOAL else 'not reached'}")
    return 0 if share >= _GOAL else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of CIFAR-10's images")
    parser.add_argument("--share", type=float, default=0.05, help="of labels to flip (0.05)")
    parser.add_argument("--seed", type=int, default=1, help="of the flipped labels (1)")
    parser.add_argument("--folds", type=int, default=3, help="folds of the job (3)")
    parser.add_argument("--work", type=Path, default=_HERE / ".work" / "label-errors")
    parser.add_argument("--config", type=Path, default=_CONFIG, help="config of the job")
    parser.add_argument("--limit", type=int, help="use so many train images only, for a trial")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
