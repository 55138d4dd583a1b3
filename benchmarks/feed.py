"""Rows to batches of 64: compare Halftone's feed with common alternatives, on the same rows.

    python benchmarks/feed.py --count 100000 --rounds 7

Every contestant is a separate process that stays for all rounds. Passes over all rows alternate
between contestants, in a different order each round. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Optional

import choice
import contestants
import feed_page
import measure
import page
import synthetic
from feed_contestants import ALL, EPOCHS, FEEDS, Contestant
from feed_page import Entry
from feeding import Feeding, FeedingError, feeding
from synthetic import Shape

_HERE = Path(__file__).resolve().parent
_SHAPES = ("64x64x1", "32x32x3")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return exit code 0 if all passes count, else 1."""
    args = _parser().parse_args(argv)
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    selected = choice.select(args.only, ALL)
    tables, record, failures = [], {}, []
    for text in args.shapes.split(","):
        with measure.run_folder(args.work) as folder:
            entries, failed = _run(args, _parse_shape(text), selected, folder)
        failures += [
            f"{name}, {text}: does not count: {reason}." for name, reason in failed.items()
        ]
        record[text] = [
            {"name": entry.name, "turn": entry.turn, "taken": entry.cost._asdict()}
            for entry in entries
        ]
        tables += _tables(f"{args.count:,} rows of {text}", selected, entries)
    page.publish(
        "feed",
        "Rows to batches of 64",
        tables,
        [*failures, *_remarks(args, selected)],
        {"passes": record},
        {name: version(name) for name in ("tensorflow", "petastorm")},
    )
    return 1 if failures else 0


def _parse_shape(text: str) -> Shape:
    try:
        height_px, width_px, channels = map(int, text.split("x"))
    except ValueError:
        raise SystemExit(f"error: --shapes {text}: give HEIGHTxWIDTHxCHANNELS") from None
    return height_px, width_px, channels


def _run(
    args: argparse.Namespace, shape: Shape, selected: Sequence[Contestant], folder: Path
) -> tuple[list[Entry], dict[str, str]]:
    """Make all passes over rows of one shape.

    Returns:
        The passes that count, and for each failed contestant its error.
    """
    dataset, records = folder / "dataset", folder / "records"
    num_shards = synthetic.write_dataset(dataset, args.count, shape)
    environment = {**contestants.environment(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if any(contestant.function.startswith("tfrecord:") for contestant in selected):
        writer = [sys.executable, "-m", "feeds.tfrecord", str(dataset), str(records)]
        subprocess.run(writer, check=True, cwd=_HERE, env=environment)
    failed: dict[str, str] = {}
    entries: list[Entry] = []
    with ExitStack() as stack:
        feedings = {}
        for contestant in selected:
            part = max(1, num_shards // 5) if contestant.is_slow else num_shards
            arguments = [contestant.function, str(dataset), str(records), str(part)]
            log = folder / f"{contestant.name}.log"
            feedings[contestant.name] = stack.enter_context(
                feeding(arguments, log, environment, args.timeout_secs)
            )
        # The first pass (-1) fills caches and lets TensorFlow trace; it does not count.
        for turn in range(-1, args.rounds):
            entries += _round(args, turn, feedings, failed)
    return [entry for entry in entries if entry.turn >= 0], failed


def _round(
    args: argparse.Namespace, turn: int, feedings: dict[str, Feeding], failed: dict[str, str]
) -> list[Entry]:
    names = [name for name in feedings if name not in failed]
    random.Random(f"{args.seed}:{turn}").shuffle(names)
    entries = []
    for name in names:
        try:
            entries.append(Entry(name, turn, feedings[name].run_pass()))
        except FeedingError as error:
            failed[name] = str(error)
    rates = ", ".join(f"{entry.name} {page.format_rate(entry.rate)}" for entry in entries)
    print(f"round {turn + 1}  {rates}" if turn >= 0 else f"warm-up  {rates}", flush=True)
    return entries


def _tables(title: str, selected: Sequence[Contestant], entries: Sequence[Entry]) -> list[str]:
    names = [contestant.name for contestant in selected]
    feeds = [name for name in names if name in {contestant.name for contestant in FEEDS}]
    epochs = [name for name in names if name in {contestant.name for contestant in EPOCHS}]
    tables = []
    if feeds:
        baselines = ("limit", "tfrecord", "tensors")
        tables += [f"## {title}", feed_page.format_rates(feeds, entries, baselines)]
    if epochs:
        tables += [
            f"## An epoch of logistic regression on {title}",
            feed_page.format_epochs(epochs, entries, "fit-tensors"),
        ]
    return tables


def _remarks(args: argparse.Namespace, selected: Sequence[Contestant]) -> list[str]:
    return [
        *(f"{contestant.name}: {contestant.description}." for contestant in selected),
        *(
            f"{contestant.name}: a fifth of the rows."
            for contestant in selected
            if contestant.is_slow
        ),
        "tf.data batches are consumed inside TensorFlow's graph, as Keras' fit does it, those of "
        "the limits by a Python loop. One process, warm page cache. CPU: of all its threads.",
        f"Medians of {args.rounds} passes that alternate between contestants, after one that does "
        "not count; ratios are medians of the ratios within a round.",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(contestant.name for contestant in ALL)
    shapes = ",".join(_SHAPES)
    parser.add_argument("--count", type=int, default=100_000, help="number of rows (100000)")
    parser.add_argument("--shapes", default=shapes, metavar="HxWxC,...", help=f"({shapes})")
    parser.add_argument("--rounds", type=int, default=7, help="passes of each contestant (7)")
    parser.add_argument("--only", metavar="NAME,...", help=f"some of {names}")
    parser.add_argument("--seed", type=int, default=7, help="seed of the order within a round (7)")
    parser.add_argument("--timeout-secs", type=float, default=300, help="limit of one pass (300)")
    parser.add_argument(
        "--work", type=Path, default=_HERE / ".work", help="folder of rows and logs"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
