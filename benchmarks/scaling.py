"""Training on 2 ranks with one core each, compared with the limit of 2 cores and with 1 rank.

    python benchmarks/scaling.py --rounds 2

All are runs of jobs/train.py on the same two cores, with the same rows per step on each rank. The
limit is two independent trainings of 1 rank at the same time. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Optional

import yaml

import choice
import measure
import page
from pinned import WAYS, Network, Settings, TrainingError, Trainings, find_two_cores

_HERE = Path(__file__).resolve().parent
_SHAPE = (64, 64, 1)
_PAPER = _HERE.parent / "conf" / "experiments" / "vgg13-bayes.yaml"
_VGG = yaml.safe_load(_PAPER.read_text())["base"]
# Enough rows to make the fixed costs of an epoch small, above all its checkpoint.
_NETWORKS = (
    Network(
        "mlp", "logistic regression, the smallest", {"name": "mlp", "hidden": []}, _SHAPE, 64_000
    ),
    Network(
        "convnet",
        "the default, two convolutions of 32 filters",
        {"name": "convnet"},
        _SHAPE,
        1_600,
    ),
    Network(
        "vgg",
        "the VGG-13 of conf/experiments/vgg13-bayes.yaml, 9.4 million parameters; cycle_ms 10",
        _VGG["train"]["model"],
        tuple(_VGG["pixels"].values()),
        512,
        {"cycle_ms": 10},  # a step takes more than two seconds
    ),
)


class Entry(NamedTuple):
    """The result of one way of training in one round."""

    network: str
    way: str
    turn: int
    rate: float  # images/s of all its ranks
    epochs: list[list[float]]  # for each training images/s of every epoch but the first


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return exit code 0 if all runs count, else 1."""
    args = _parser().parse_args(argv)
    networks = choice.select(args.only, _NETWORKS)
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    entries, failures = _run_all(args, networks)
    page.publish(
        "-".join(["scaling", *(args.only or "").split(",")]).rstrip("-"),
        "Training on 2 ranks",
        [_table(networks, entries)],
        [*failures, *_remarks(args, networks)],
        {"runs": [entry._asdict() for entry in entries]},
        {name: version(name) for name in ("tensorflow", "horovod", "petastorm")},
    )
    return 1 if failures else 0


def _run_all(
    args: argparse.Namespace, networks: Sequence[Network]
) -> tuple[list[Entry], list[str]]:
    """Return the runs that count, and a message for each of the others."""
    settings = Settings(args.rank_batch, args.epochs, args.timeout_secs)
    cores = find_two_cores()
    entries, failures = [], []
    with measure.run_folder(args.work) as folder:
        trainings = [Trainings(network, settings, cores, folder) for network in networks]
        for turn in range(args.rounds):
            for training in trainings:
                for way in random.Random(f"{args.seed}:{turn}").sample(list(WAYS), len(WAYS)):
                    label = f"{training.network.name}, {way}"
                    try:
                        rate, epochs = training.run(way)
                    except TrainingError as error:
                        failures.append(f"{label}, round {turn + 1}: does not count: {error}.")
                        print(failures[-1], flush=True)
                        continue
                    entries.append(Entry(training.network.name, way, turn, rate, epochs))
                    speed = f"{page.format_rate(rate)} images/s"
                    print(f"round {turn + 1}  {label:<14} {speed}", flush=True)
    return entries, failures


def _table(networks: Sequence[Network], entries: Sequence[Entry]) -> str:
    rows = []
    for network in networks:
        rates_by_way = {
            way: {e.turn: e.rate for e in entries if (e.network, e.way) == (network.name, way)}
            for way in WAYS
        }
        for way, rates in rates_by_way.items():
            if rates:
                rows.append(
                    [
                        f"{network.name}, {way}",
                        page.format_rate(statistics.median(rates.values())),
                        f"{page.format_rate(min(rates.values()))}..{page.format_rate(max(rates.values()))}",
                        page.median_ratio(rates, rates_by_way["limit"]),
                        page.median_ratio(rates, rates_by_way["alone"]),
                        str(len(rates)),
                    ]
                )
    return page.format_table(["", "images/s", "min..max", "of limit", "of alone", "runs"], rows)


def _remarks(args: argparse.Namespace, networks: Sequence[Network]) -> list[str]:
    return [
        *(f"{way}: {description}." for way, description in WAYS.items()),
        *(
            f"{network.name}: {network.description}; {network.rank_rows:,} rows of "
            f"{'x'.join(map(str, network.shape))} per rank."
            for network in networks
        ),
        f"Drawn rows, {args.rank_batch} per step and rank, kept in memory. Images/s are those of "
        f"the run's history.json: of {args.epochs} epochs the first does not count, and a run's "
        "rate is the median of the others.",
        f"Medians of {args.rounds} rounds; ratios are medians of the ratios within a round.",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(network.name for network in _NETWORKS)
    parser.add_argument("--rounds", type=int, default=2, help="number of runs of each way (2)")
    parser.add_argument(
        "--epochs", type=int, default=4, help="epochs of a run; the first does not count (4)"
    )
    parser.add_argument("--rank-batch", type=int, default=32, help="rows per step and rank (32)")
    parser.add_argument("--only", metavar="NAME,...", help=f"some of {names}")
    parser.add_argument("--seed", type=int, default=7, help="seed of the order within a round (7)")
    parser.add_argument("--timeout-secs", type=float, default=600, help="limit of one run (600)")
    parser.add_argument(
        "--work", type=Path, default=_HERE / ".work", help="folder of rows and logs"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
