"""Scoring beside what one process does with arrays in memory, and beside a plain pandas UDF.

    python benchmarks/score.py --rounds 3

Halftone and the UDF are whole jobs, timed from their start to their end; of the limit only
model.predict itself counts. See benchmarks/README.md.
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
_SPLIT = "train"  # drawn rows are all in this one
_TRAIN_ROWS = 256  # for a model; what it has learnt makes no difference here

_LEGEND = {
    "limit": "model.predict, 2 threads, arrays in memory, batches of 256; the start is not counted",
    "process": "the same process from its start to its end, reading the rows included",
    "halftone": "jobs/score.py on local[2], from its start to its end, metrics and report included",
    "udf": "a pandas UDF on local[2] that loads the model for each batch, from start to end",
}

_RUNS = ("limit", "halftone", "udf")


class Network(NamedTuple):
    name: str
    what: str
    model: Mapping[str, Any]  # the config's train.model
    rows: int
    udf_rows: int  # fewer, where it would take too long


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
        "filters 64, 128, 256, 512 of 5x5, each with batch normalisation, dense 256",
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
    """A run does not count."""


class Bench:
    """A network, its rows, and those who score them."""

    def __init__(self, network: Network, folder: Path, asked: argparse.Namespace) -> None:
        self.network, self._logs, self._timeout_secs = network, folder, asked.timeout_secs
        self._folder = folder / network.name
        self._folder.mkdir()
        self._rows = {"udf": min(network.udf_rows, asked.rows or network.rows)}
        for name in ("limit", "halftone"):
            self._rows[name] = asked.rows or network.rows
        for count in {_TRAIN_ROWS, *self._rows.values()}:
            synthetic.dataset(self._dataset(count), count, _SHAPE)
        train = {"model": dict(network.model), "epochs": 1}
        config = {"name": network.name, "tracking": {"enabled": False}, "train": train}
        config["score"] = {"split": _SPLIT}
        config["spark"] = {"master": "local[2]"}
        self._config = self._folder / "config.yaml"
        self._config.write_text(yaml.safe_dump(config), encoding="utf-8")
        self._model = self._folder / "model"
        self._job("train", self._dataset(_TRAIN_ROWS), self._model)
        card = json.loads((self._model / "model.json").read_text(encoding="utf-8"))
        self._network_file = self._model / card["network"]

    def run(self, name: str, turn: int) -> list[Entry]:
        """Score once. Raises JobError."""
        rows = self._rows[name]
        dataset, output = self._dataset(rows), self._folder / "output"
        others = []
        if name == "limit":
            run, secs, done = self._limit(dataset)
            others = [Entry(self.network.name, "process", turn, rows, run.secs)]
        elif name == "halftone":
            model = ["--model", str(self._model)]
            run = self._job("score", dataset, output, *model)
            done = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["rows"]
            secs = run.secs
        else:
            command = ["spark-submit", "--master", "local[2]", str(_PEERS / "pandas_udf.py")]
            places = [self._network_file, dataset / _SPLIT, output]
            run = self._run([*command, *map(str, places)])
            files = output.glob("*.parquet")
            secs, done = run.secs, sum(pq.ParquetFile(file).metadata.num_rows for file in files)
        shutil.rmtree(output, ignore_errors=True)
        if done != rows:
            raise JobError(f"{done} of {rows} rows were scored")
        return [Entry(self.network.name, name, turn, rows, secs), *others]

    def _limit(self, dataset: Path) -> tuple[measure.Run, float, int]:
        command = [sys.executable, str(_PEERS / "predict_in_memory.py")]
        log = self._logs / "limit.log"
        run = self._run([*command, str(self._model), str(dataset), _SPLIT], log)
        said = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
        log.unlink()
        return run, said["secs"], said["rows"]

    def _job(self, job: str, dataset: Path, output: Path, *more: str) -> measure.Run:
        command = [sys.executable, str(_JOBS / f"{job}.py"), "--config", str(self._config)]
        return self._run([*command, "--dataset", str(dataset), "--output", str(output), *more])

    def _run(self, command: Sequence[str], keep_log: Optional[Path] = None) -> measure.Run:
        log = keep_log or self._logs / "run.log"
        run = measure.run(command, log, contestants.environment(), self._timeout_secs)
        if run.exit_code != 0:
            raise JobError(f"exit code {run.exit_code} after {run.secs:.0f} s")
        if keep_log is None:
            log.unlink()
        return run

    def _dataset(self, rows: int) -> Path:
        return self._folder / f"dataset-{rows}"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Returns the exit code: 0 all runs counted, 1 some did not."""
    asked = _parser().parse_args(argv)
    asked.work = asked.work.resolve()
    asked.work.mkdir(parents=True, exist_ok=True)
    networks = choice.chosen(asked.only, _NETWORKS)
    entries, failures = _run_all(asked, networks)
    page.publish(
        "score" if not asked.only else f"score-{asked.only.replace(',', '-')}",
        "Scoring",
        [_table(networks, entries)],
        [*failures, *_remarks(asked, networks)],
        {"runs": [entry._asdict() for entry in entries]},
        {"tensorflow": version("tensorflow")},
    )
    return 1 if failures else 0


def _run_all(
    asked: argparse.Namespace, networks: Sequence[Network]
) -> tuple[list[Entry], list[str]]:
    """Return the runs that count, and what is to be said of the others."""
    entries, failures = [], []
    with measure.run_folder(asked.work) as folder:
        for network in networks:
            bench = Bench(network, folder, asked)
            for turn in range(asked.rounds):
                names = list(_RUNS)
                for name in random.Random(f"{asked.seed}:{turn}").sample(names, len(names)):
                    what = f"{network.name}, {name}"
                    try:
                        made = bench.run(name, turn)
                    except JobError as error:
                        failures.append(f"{what}, round {turn + 1}: does not count: {error}.")
                        print(failures[-1], flush=True)
                        continue
                    entries += made
                    for each in made:
                        said = f"{each.secs:7.2f} s  {page.rate(each.rows / each.secs)} images/s"
                        what = f"{each.network}, {each.name}"
                        print(f"round {turn + 1}  {what:<16} {said}", flush=True)
            shutil.rmtree(folder / network.name)
    return entries, failures


def _table(networks: Sequence[Network], entries: Sequence[Entry]) -> str:
    rows = []
    for network in networks:
        own = [entry for entry in entries if entry.network == network.name]
        rates = {
            name: {each.turn: each.rows / each.secs for each in own if each.name == name}
            for name in _LEGEND
        }
        for name, values in rates.items():
            if values:
                first = next(each for each in own if each.name == name)
                rows.append(
                    [
                        f"{network.name}, {name}",
                        f"{first.rows:,}",
                        page.rate(statistics.median(values.values())),
                        f"{page.rate(min(values.values()))}..{page.rate(max(values.values()))}",
                        page.ratio(values, rates["limit"]),
                        str(len(values)),
                    ]
                )
    return page.table(["", "rows", "images/s", "min..max", "of limit", "runs"], rows)


def _remarks(asked: argparse.Namespace, networks: Sequence[Network]) -> list[str]:
    height_px, width_px, channels = _SHAPE
    return [
        *(f"{name}: {what}." for name, what in _LEGEND.items()),
        *(f"{network.name}: {network.what}." for network in networks),
        f"Drawn rows of {height_px}x{width_px}x{channels}. Medians of {asked.rounds} rounds; "
        "ratios are medians of the ratios within a round.",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(network.name for network in _NETWORKS)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--rows", type=int, help="for all; by default those of each network")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {names}")
    parser.add_argument("--seed", type=int, default=7, help="of the order within a round")
    parser.add_argument("--timeout-secs", type=float, default=900, help="for one run (900)")
    parser.add_argument("--work", type=Path, default=_HERE / ".work", help="rows and logs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
