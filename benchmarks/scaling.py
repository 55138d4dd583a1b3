"""Training on 2 ranks of a core each, beside what 2 cores could do at most, and beside 1 rank.

    python benchmarks/scaling.py --rounds 2

All are runs of jobs/train.py on the same two cores, with the same rows a step on each rank. The
limit is two trainings of 1 rank at the same time that know nothing of each other. See
benchmarks/README.md.
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
from pinned import WAYS, Network, Settings, TrainingError, Trainings, two_cores

_HERE = Path(__file__).resolve().parent
_SHAPE = (64, 64, 1)
_PAPER = _HERE.parent / "conf" / "experiments" / "vgg13-bayes.yaml"
_VGG = yaml.safe_load(_PAPER.read_text())["base"]
# So many rows that what an epoch costs once, its checkpoint above all, weighs little.
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
    """What one way of training gave in one round."""

    network: str
    way: str
    turn: int
    rate: float  # images/s of all its ranks
    epochs: list[list[float]]  # images/s of each epoch but the first, by training


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Returns the exit code: 0 all runs counted, 1 some did not."""
    asked = _parser().parse_args(argv)
    networks = choice.chosen(asked.only, _NETWORKS)
    asked.work = asked.work.resolve()
    asked.work.mkdir(parents=True, exist_ok=True)
    entries, failures = _run_all(asked, networks)
    page.publish(
        "-".join(["scaling", *(asked.only or "").split(",")]).rstrip("-"),
        "Training on 2 ranks",
        [_table(networks, entries)],
        [*failures, *_remarks(asked, networks)],
        {"runs": [entry._asdict() for entry in entries]},
        {name: version(name) for name in ("tensorflow", "horovod", "petastorm")},
    )
    return 1 if failures else 0


def _run_all(
    asked: argparse.Namespace, networks: Sequence[Network]
) -> tuple[list[Entry], list[str]]:
    """Return the runs that count, and what is to be said of the others."""
    settings = Settings(asked.rank_batch, asked.epochs, asked.timeout_secs)
    cores = two_cores()
    entries, failures = [], []
    with measure.run_folder(asked.work) as folder:
        trainings = [Trainings(network, settings, cores, folder) for network in networks]
        for turn in range(asked.rounds):
            for own in trainings:
                for way in random.Random(f"{asked.seed}:{turn}").sample(list(WAYS), len(WAYS)):
                    what = f"{own.network.name}, {way}"
                    try:
                        rate, epochs = own.run(way)
                    except TrainingError as error:
                        failures.append(f"{what}, round {turn + 1}: does not count: {error}.")
                        print(failures[-1], flush=True)
                        continue
                    entries.append(Entry(own.network.name, way, turn, rate, epochs))
                    print(f"round {turn + 1}  {what:<14} {page.rate(rate)} images/s", flush=True)
    return entries, failures


def _table(networks: Sequence[Network], entries: Sequence[Entry]) -> str:
    rows = []
    for network in networks:
        rates = {
            way: {e.turn: e.rate for e in entries if (e.network, e.way) == (network.name, way)}
            for way in WAYS
        }
        for way, own in rates.items():
            if own:
                rows.append(
                    [
                        f"{network.name}, {way}",
                        page.rate(statistics.median(own.values())),
                        f"{page.rate(min(own.values()))}..{page.rate(max(own.values()))}",
                        page.ratio(own, rates["limit"]),
                        page.ratio(own, rates["alone"]),
                        str(len(own)),
                    ]
                )
    return page.table(["", "images/s", "min..max", "of limit", "of alone", "runs"], rows)


def _remarks(asked: argparse.Namespace, networks: Sequence[Network]) -> list[str]:
    return [
        *(f"{way}: {what}." for way, what in WAYS.items()),
        *(
            f"{each.name}: {each.what}; {each.rank_rows:,} rows of "
            f"{'x'.join(map(str, each.shape))} a rank."
            for each in networks
        ),
        f"Drawn rows, {asked.rank_batch} a step on each rank, kept in memory. Images/s are of the "
        f"run's history.json: of {asked.epochs} epochs the first does not count, and a run's rate "
        "is the median of the others.",
        f"Medians of {asked.rounds} rounds; ratios are medians of the ratios within a round.",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(network.name for network in _NETWORKS)
    parser.add_argument("--rounds", type=int, default=2, help="runs of each way (2)")
    parser.add_argument("--epochs", type=int, default=4, help="of a run; the first is left out (4)")
    parser.add_argument("--rank-batch", type=int, default=32, help="rows a step on a rank (32)")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {names}")
    parser.add_argument("--seed", type=int, default=7, help="of the order within a round")
    parser.add_argument("--timeout-secs", type=float, default=600, help="for one run (600)")
    parser.add_argument("--work", type=Path, default=_HERE / ".work", help="rows and logs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
