"""Scoring with and without heat maps in the report.

    python benchmarks/heat_maps.py --rounds 5

Whole jobs on local[2], timed from start to end, in an order that changes from round to round. The
report has 48 least certain images and as many mistakes as there are, up to 48. See
benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Optional

import yaml

import choice
import contestants
import measure
import page
import synthetic

_HERE = Path(__file__).resolve().parent
_JOBS = _HERE.parent / "jobs"
_SHAPE = (64, 64, 1)
_SPLIT = "train"  # all drawn rows are in this split
_TRAIN_ROWS = 256  # to create a model; its accuracy does not matter here
_RUNS = {"with": True, "without": False}


class Network(NamedTuple):
    name: str
    model: Mapping[str, Any]  # settings of train.model


_NETWORKS = (
    Network("convnet", {"name": "convnet", "filters": [32, 64], "dense": [64]}),
    Network("residual", {"name": "residual", "filters": [16, 32, 64], "blocks": [3]}),
    Network("efficientnet", {"name": "application", "architecture": "EfficientNetB0"}),
)


class Entry(NamedTuple):
    """One run that counts."""

    network: str
    rows: int
    name: str  # one of _RUNS
    turn: int
    secs: float


class JobError(Exception):
    """A run failed, or its report is not as expected, so it does not count."""


class Bench:
    """A network that is trained once, and a dataset to score."""

    def __init__(self, network: Network, rows: int, folder: Path, timeout_secs: float) -> None:
        self._network, self._rows, self._timeout_secs = network, rows, timeout_secs
        self._logs, self._folder = folder, folder / f"{network.name}-{rows}"
        self._folder.mkdir()
        for count in {_TRAIN_ROWS, rows}:
            synthetic.write_dataset(self._dataset(count), count, _SHAPE)
        self._config = self._folder / "config.yaml"
        config = {
            "name": network.name,
            "tracking": {"enabled": False},
            "train": {"model": dict(network.model), "epochs": 1, "batch_size": 32},
            "score": {"split": _SPLIT},
            "spark": {"master": "local[2]"},
        }
        self._config.write_text(yaml.safe_dump(config), encoding="utf-8")
        self._model = self._folder / "model"
        self._run_job("train", self._dataset(_TRAIN_ROWS), self._model)

    def run(self, name: str, turn: int) -> Entry:
        """Score once.

        Raises:
            JobError: the run does not count.
        """
        output = self._folder / "scores"
        setting = f"score.heat_maps={str(_RUNS[name]).lower()}"
        run = self._run_job(
            "score",
            self._dataset(self._rows),
            output,
            "--model",
            str(self._model),
            "--set",
            setting,
        )
        rows = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["rows"]
        has_maps = "(Grad-CAM)" in (output / "report.html").read_text(encoding="utf-8")
        shutil.rmtree(output)
        if rows != self._rows or has_maps != _RUNS[name]:
            raise JobError(f"{rows} rows, {'with' if has_maps else 'without'} heat maps")
        return Entry(self._network.name, rows, name, turn, run.secs)

    def _run_job(self, job: str, dataset: Path, output: Path, *arguments: str) -> measure.Run:
        command = [sys.executable, str(_JOBS / f"{job}.py"), "--config", str(self._config)]
        command += ["--dataset", str(dataset), "--output", str(output), *arguments]
        log = self._logs / "run.log"
        run = measure.run(command, log, contestants.environment(), self._timeout_secs)
        if run.exit_code != 0:
            raise JobError(f"{job}: exit code {run.exit_code} after {run.secs:.0f} s")
        log.unlink()
        return run

    def _dataset(self, rows: int) -> Path:
        return self._folder / f"dataset-{rows}"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return exit code 0 if all runs count, else 1."""
    args = _parser().parse_args(argv)
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    entries, failures = _run_all(args, choice.select(args.only, _NETWORKS))
    page.publish(
        "heat-maps",
        "Scoring with heat maps in the report",
        [_table(entries)],
        [
            *failures,
            f"Drawn rows of 64x64x1. Medians of {args.rounds} rounds; ratios are medians of the "
            "ratios within a round.",
        ],
        {"runs": [entry._asdict() for entry in entries]},
        {"tensorflow": version("tensorflow")},
    )
    return 1 if failures else 0


def _run_all(
    args: argparse.Namespace, networks: Sequence[Network]
) -> tuple[list[Entry], list[str]]:
    """Return the runs that count, and a message for each of the others."""
    entries, failures = [], []
    with measure.run_folder(args.work) as folder:
        for network in networks:
            for rows in args.rows:
                bench = Bench(network, rows, folder, args.timeout_secs)
                for turn in range(args.rounds):
                    names = list(_RUNS)
                    random.Random(f"{args.seed}:{turn}").shuffle(names)
                    for name in names:
                        label = f"{network.name}, {rows:,} rows, {name}"
                        try:
                            entry = bench.run(name, turn)
                        except JobError as error:
                            failures.append(f"{label}, round {turn + 1}: does not count: {error}.")
                            print(failures[-1], flush=True)
                            continue
                        entries.append(entry)
                        print(f"round {turn + 1}  {label:<40} {entry.secs:7.2f} s", flush=True)
                shutil.rmtree(folder / f"{network.name}-{rows}")
    return entries, failures


def _table(entries: Sequence[Entry]) -> str:
    table = []
    for network, rows in dict.fromkeys((entry.network, entry.rows) for entry in entries):
        secs = {
            name: {
                entry.turn: entry.secs
                for entry in entries
                if (entry.network, entry.rows, entry.name) == (network, rows, name)
            }
            for name in _RUNS
        }
        if all(secs.values()):
            medians = (f"{statistics.median(secs[name].values()):.2f} s" for name in _RUNS)
            ratio = page.median_ratio(secs["with"], secs["without"])
            table.append([network, f"{rows:,}", *medians, ratio, str(len(secs["with"]))])
    return page.format_table(
        ["network", "rows", "with", "without", "with / without", "runs"], table
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(network.name for network in _NETWORKS)
    parser.add_argument("--rounds", type=int, default=5, help="number of runs of each (5)")
    parser.add_argument(
        "--rows",
        type=lambda text: [int(number) for number in text.split(",")],
        default=[1000, 20_000],
        help="numbers of rows (1000,20000)",
    )
    parser.add_argument("--only", help=f"networks, by default all: {names}")
    parser.add_argument("--seed", type=int, default=0, help="of the order of runs (0)")
    parser.add_argument("--timeout-secs", type=float, default=1800.0, help="of a run (1800)")
    parser.add_argument("--work", type=Path, default=_HERE / ".work", help="folder for its files")
    return parser


if __name__ == "__main__":
    sys.exit(main())
