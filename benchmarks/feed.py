"""Rows to batches of 64: Halftone's feed beside what one would use instead, on the same rows.

    python benchmarks/feed.py --count 100000 --rounds 7

Every contestant is a process of its own that stays for all rounds; passes over all rows alternate
between them, in another order each round. See benchmarks/README.md.
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
    """Returns the exit code: 0 all passes counted, 1 some did not."""
    asked = _parser().parse_args(argv)
    asked.work = asked.work.resolve()
    asked.work.mkdir(parents=True, exist_ok=True)
    chosen = choice.chosen(asked.only, ALL)
    tables, record, failures = [], {}, []
    for text in asked.shapes.split(","):
        with measure.run_folder(asked.work) as folder:
            entries, failed = _run(asked, _shape(text), chosen, folder)
        failures += [f"{name}, {text}: does not count: {why}." for name, why in failed.items()]
        record[text] = [{**entry._asdict(), "taken": entry.taken._asdict()} for entry in entries]
        tables += _tables(f"{asked.count:,} rows of {text}", chosen, entries)
    page.publish(
        "feed",
        "Rows to batches of 64",
        tables,
        [*failures, *_remarks(asked, chosen)],
        {"passes": record},
        {name: version(name) for name in ("tensorflow", "petastorm")},
    )
    return 1 if failures else 0


def _shape(text: str) -> Shape:
    try:
        height_px, width_px, channels = map(int, text.split("x"))
    except ValueError:
        raise SystemExit(f"error: --shapes {text}: give HEIGHTxWIDTHxCHANNELS") from None
    return height_px, width_px, channels


def _run(
    asked: argparse.Namespace, shape: Shape, chosen: Sequence[Contestant], folder: Path
) -> tuple[list[Entry], dict[str, str]]:
    """Make all passes over rows of one shape; return them, and who failed and why."""
    dataset, records = folder / "dataset", folder / "records"
    num_shards = synthetic.dataset(dataset, asked.count, shape)
    environment = {**contestants.environment(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if any(contestant.function.startswith("tfrecord:") for contestant in chosen):
        writer = [sys.executable, "-m", "feeds.tfrecord", str(dataset), str(records)]
        subprocess.run(writer, check=True, cwd=_HERE, env=environment)
    failed: dict[str, str] = {}
    entries: list[Entry] = []
    with ExitStack() as stack:
        feedings = {}
        for contestant in chosen:
            part = max(1, num_shards // 5) if contestant.is_slow else num_shards
            arguments = [contestant.function, str(dataset), str(records), str(part)]
            log = folder / f"{contestant.name}.log"
            feedings[contestant.name] = stack.enter_context(
                feeding(arguments, log, environment, asked.timeout_secs)
            )
        # The first pass fills caches and lets TensorFlow trace; it does not count.
        for turn in range(-1, asked.rounds):
            entries += _round(asked, turn, feedings, failed)
    return [entry for entry in entries if entry.turn >= 0], failed


def _round(
    asked: argparse.Namespace, turn: int, feedings: dict[str, Feeding], failed: dict[str, str]
) -> list[Entry]:
    names = [name for name in feedings if name not in failed]
    random.Random(f"{asked.seed}:{turn}").shuffle(names)
    entries = []
    for name in names:
        try:
            entries.append(Entry(name, turn, feedings[name].one_pass()))
        except FeedingError as error:
            failed[name] = str(error)
    said = ", ".join(f"{entry.name} {page.rate(entry.rate)}" for entry in entries)
    print(f"round {turn + 1}  {said}" if turn >= 0 else f"warm-up  {said}", flush=True)
    return entries


def _tables(title: str, chosen: Sequence[Contestant], entries: Sequence[Entry]) -> list[str]:
    names = [contestant.name for contestant in chosen]
    feeds = [name for name in names if name in {each.name for each in FEEDS}]
    epochs = [name for name in names if name in {each.name for each in EPOCHS}]
    tables = []
    if feeds:
        baselines = ("limit", "tfrecord", "tensors")
        tables += [f"## {title}", feed_page.rates(feeds, entries, baselines)]
    if epochs:
        tables += [
            f"## An epoch of logistic regression on {title}",
            feed_page.epochs(epochs, entries, "fit-tensors"),
        ]
    return tables


def _remarks(asked: argparse.Namespace, chosen: Sequence[Contestant]) -> list[str]:
    return [
        *(f"{contestant.name}: {contestant.what}." for contestant in chosen),
        *(
            f"{contestant.name}: a fifth of the rows."
            for contestant in chosen
            if contestant.is_slow
        ),
        "What is tf.data is taken inside TensorFlow's graph, as Keras' fit does it, limits by a "
        "Python loop. One process, page cache warm. CPU: of all its threads.",
        f"Medians of {asked.rounds} passes that alternate between contestants, after one that does "
        "not count; ratios are medians of the ratios within a round.",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(contestant.name for contestant in ALL)
    shapes = ",".join(_SHAPES)
    parser.add_argument("--count", type=int, default=100_000, help="rows (100000)")
    parser.add_argument("--shapes", default=shapes, metavar="HxWxC,...", help=f"({shapes})")
    parser.add_argument("--rounds", type=int, default=7, help="passes of each contestant (7)")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {names}")
    parser.add_argument("--seed", type=int, default=7, help="of the order within a round")
    parser.add_argument("--timeout-secs", type=float, default=300, help="for one pass (300)")
    parser.add_argument("--work", type=Path, default=_HERE / ".work", help="rows and logs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
