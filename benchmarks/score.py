"""Scoring, compared with `model.predict` on arrays in memory and with a simple pandas UDF.

    python benchmarks/score.py --rounds 3

Halftone and the UDF are whole jobs, timed from start to end; of the limit only model.predict
is timed. See benchmarks/README.md.
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

import pyarrow.parquet as pq
import yaml

import choice
import contestants
import measure
import page
import synthetic

_HERE = Path(__file__).resolve().parent
_JOBS, _PEERS = _HERE.parent / "jobs", _HERE / "peers"
_SHAPE = (64, 64, 1)
_SPLIT = "train"  # all drawn rows are in this split
_TRAIN_ROWS = 256  # to create a model; its accuracy does not matter here

_LEGEND = {
    "limit": "model.predict, 2 threads, arrays in memory, batches of 256; the start is not timed",
    "process": "the same process from start to end, including reading the rows",
    "halftone": "jobs/score.py on local[2], from start to end, including metrics and report",
    "udf": "a pandas UDF on local[2] that loads the model for each batch, from start to end",
}

_RUNS = ("limit", "halftone", "udf")


class Network(NamedTuple):
    name: str
    description: str  # for the notes below the table
    model: Mapping[str, Any]  # settings of train.model
    rows: int
    udf_rows: int  # fewer if it would take too long


_NETWORKS = (
    Network(
        "small",
        "one convolution of 32 filters, max pooling, dense 8",
        {"name": "convnet", "filters": [32], "dense": [8]},
        200_000,
        20_000,
    ),
    Network(
        "vgg",
        "filters 64, 128, 256, 512 of 5x5, each with batch normalization, dense 256",
        {
            "name": "convnet",
            "filters": [64, 128, 256, 512],
            "kernels_px": [5],
            "padding": "same",
            "batch_norm": True,
            "dense": [256],
        },
        20_000,
        2_000,
    ),
)


class Entry(NamedTuple):
    """One run of one contestant."""

    network: str
    name: str
    turn: int
    rows: int
    secs: float


class JobError(Exception):
    """A run failed or scored too few rows, so it does not count."""


class Bench:
    """A network, its datasets, and the contestants that score them."""

    def __init__(self, network: Network, folder: Path, args: argparse.Namespace) -> None:
        self.network, self._logs, self._timeout_secs = network, folder, args.timeout_secs
        self._folder = folder / network.name
        self._folder.mkdir()
        self._rows = {"udf": min(network.udf_rows, args.rows or network.rows)}
        for name in ("limit", "halftone"):
            self._rows[name] = args.rows or network.rows
        for count in {_TRAIN_ROWS, *self._rows.values()}:
            synthetic.write_dataset(self._dataset_folder(count), count, _SHAPE)
        train = {"model": dict(network.model), "epochs": 1}
        config = {"name": network.name, "tracking": {"enabled": False}, "train": train}
        config["score"] = {"split": _SPLIT}
        config["spark"] = {"master": "local[2]"}
        self._config = self._folder / "config.yaml"
        self._config.write_text(yaml.safe_dump(config), encoding="utf-8")
        self._model = self._folder / "model"
        self._run_job("train", self._dataset_folder(_TRAIN_ROWS), self._model)
        model_info = json.loads((self._model / "model.json").read_text(encoding="utf-8"))
        self._network_file = self._model / model_info["network"]

    def run(self, name: str, turn: int) -> list[Entry]:
        """Score once.

        Args:
            name: one of _RUNS.

        Raises:
            JobError: the run does not count.
        """
        rows = self._rows[name]
        dataset, output = self._dataset_folder(rows), self._folder / "output"
        entries = []
        if name == "limit":
            run, secs, num_scored = self._run_limit(dataset)
            entries = [Entry(self.network.name, "process", turn, rows, run.secs)]
        elif name == "halftone":
            model = ["--model", str(self._model)]
            run = self._run_job("score", dataset, output, *model)
            num_scored = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["rows"]
            secs = run.secs
        else:
            command = ["spark-submit", "--master", "local[2]", str(_PEERS / "pandas_udf.py")]
            paths = [self._network_file, dataset / _SPLIT, output]
            run = self._run([*command, *map(str, paths)])
            files = output.glob("*.parquet")
            secs = run.secs
            num_scored = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
        shutil.rmtree(output, ignore_errors=True)
        if num_scored != rows:
            raise JobError(f"{num_scored} of {rows} rows were scored")
        return [Entry(self.network.name, name, turn, rows, secs), *entries]

    def _run_limit(self, dataset: Path) -> tuple[measure.Run, float, int]:
        command = [sys.executable, str(_PEERS / "predict_in_memory.py")]
        log = self._logs / "limit.log"
        run = self._run([*command, str(self._model), str(dataset), _SPLIT], log)
        result = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
        log.unlink()
        return run, result["secs"], result["rows"]

    def _run_job(self, job: str, dataset: Path, output: Path, *arguments: str) -> measure.Run:
        command = [sys.executable, str(_JOBS / f"{job}.py"), "--config", str(self._config)]
        return self._run([*command, "--dataset", str(dataset), "--output", str(output), *arguments])

    def _run(self, command: Sequence[str], keep_log: Optional[Path] = None) -> measure.Run:
        log = keep_log or self._logs / "run.log"
        run = measure.run(command, log, contestants.environment(), self._timeout_secs)
        if run.exit_code != 0:
            raise JobError(f"exit code {run.exit_code} after {run.secs:.0f} s")
        if keep_log is None:
            log.unlink()
        return run

    def _dataset_folder(self, rows: int) -> Path:
        return self._folder / f"dataset-{rows}"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return exit code 0 if all runs count, else 1."""
    args = _parser().parse_args(argv)
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    networks = choice.select(args.only, _NETWORKS)
    entries, failures = _run_all(args, networks)
    page.publish(
        "score" if not args.only else f"score-{args.only.replace(',', '-')}",
        "Scoring",
        [_table(networks, entries)],
        [*failures, *_remarks(args, networks)],
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
            bench = Bench(network, folder, args)
            for turn in range(args.rounds):
                names = list(_RUNS)
                for name in random.Random(f"{args.seed}:{turn}").sample(names, len(names)):
                    label = f"{network.name}, {name}"
                    try:
                        new_entries = bench.run(name, turn)
                    except JobError as error:
                        failures.append(f"{label}, round {turn + 1}: does not count: {error}.")
                        print(failures[-1], flush=True)
                        continue
                    entries += new_entries
                    for entry in new_entries:
                        label = f"{entry.network}, {entry.name}"
                        rate = page.format_rate(entry.rows / entry.secs)
                        result = f"{entry.secs:7.2f} s  {rate} images/s"
                        print(f"round {turn + 1}  {label:<16} {result}", flush=True)
            shutil.rmtree(folder / network.name)
    return entries, failures


def _table(networks: Sequence[Network], entries: Sequence[Entry]) -> str:
    rows = []
    for network in networks:
        network_entries = [entry for entry in entries if entry.network == network.name]
        rates_by_name = {
            name: {e.turn: e.rows / e.secs for e in network_entries if e.name == name}
            for name in _LEGEND
        }
        for name, rates in rates_by_name.items():
            if rates:
                first = next(entry for entry in network_entries if entry.name == name)
                rows.append(
                    [
                        f"{network.name}, {name}",
                        f"{first.rows:,}",
                        page.format_rate(statistics.median(rates.values())),
                        f"{page.format_rate(min(rates.values()))}..{page.format_rate(max(rates.values()))}",
                        page.median_ratio(rates, rates_by_name["limit"]),
                        str(len(rates)),
                    ]
                )
    return page.format_table(["", "rows", "images/s", "min..max", "of limit", "runs"], rows)


def _remarks(args: argparse.Namespace, networks: Sequence[Network]) -> list[str]:
    height_px, width_px, channels = _SHAPE
    return [
        *(f"{name}: {description}." for name, description in _LEGEND.items()),
        *(f"{network.name}: {network.description}." for network in networks),
        f"Drawn rows of {height_px}x{width_px}x{channels}. Medians of {args.rounds} rounds; "
        "ratios are medians of the ratios within a round.",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(network.name for network in _NETWORKS)
    parser.add_argument("--rounds", type=int, default=3, help="number of runs of each (3)")
    parser.add_argument("--rows", type=int, help="number of rows; by default that of each network")
    parser.add_argument("--only", metavar="NAME,...", help=f"some of {names}")
    parser.add_argument("--seed", type=int, default=7, help="seed of the order within a round (7)")
    parser.add_argument("--timeout-secs", type=float, default=900, help="limit of one run (900)")
    parser.add_argument(
        "--work", type=Path, default=_HERE / ".work", help="folder of rows and logs"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
