"""Measure how long `--check` takes on a cluster.

    ./build.sh package
    python benchmarks/check.py --rounds 3

The cluster is a Spark standalone master and two workers of one core each on this machine. See
benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import yaml

import measure
import page
import standalone_cluster

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent
_ARCHIVE = _ROOT / "dist" / "environment.tar.gz"
_LEGEND = {
    "sent": "the packed environment is sent to both executors, and each unpacks it",
    "seen": "ENVIRONMENT=DIR: it is unpacked in a folder that all nodes share",
}


class Entry(NamedTuple):
    """One run of `--check`."""

    name: str
    turn: int
    secs: float
    error: Optional[str]  # why the run does not count


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return exit code 0 if all runs count, else 1."""
    args = _parser().parse_args(argv)
    if not _ARCHIVE.exists():
        raise SystemExit(
            "error: there is no packed environment; create it with\n  ./build.sh package"
        )
    args.work.mkdir(parents=True, exist_ok=True)
    with measure.run_folder(args.work.resolve()) as folder:
        unpacked = folder / "environment"
        unpacked.mkdir()
        subprocess.run(["tar", "-xzf", _ARCHIVE, "-C", unpacked], check=True)
        nodes = folder / "nodes"
        nodes.mkdir()
        with standalone_cluster.running_cluster(nodes) as cluster:
            runs = _run_all(args, cluster, folder, unpacked)
    _publish(runs)
    return 0 if all(entry.error is None for entry in runs) else 1


def _run_all(
    args: argparse.Namespace, cluster: standalone_cluster.Cluster, folder: Path, unpacked: Path
) -> list[Entry]:
    config = folder / "config.yaml"
    paths = {"dataset": str(folder / "nodes"), "model": str(folder / "out" / "model")}
    config.write_text(yaml.safe_dump({"name": "check", "paths": paths, "train": {"ranks": 2}}))
    settings = cluster.submit_environment(Path(sys.executable))
    script = str(_ROOT / "conf" / "deploy" / "standalone.sh")
    command = [script, "train", "--config", str(config), "--check"]
    shuffle = random.Random(args.seed).sample
    runs = []
    for turn in range(args.rounds):
        for name in shuffle(list(_LEGEND), len(_LEGEND)):
            environment = {**settings, "ENVIRONMENT": str(unpacked) if name == "seen" else ""}
            log = folder / f"{name}-{turn + 1}.log"
            run = measure.run(command, log, environment, args.timeout_secs)
            error = None if run.exit_code == 0 else f"exit code {run.exit_code}"
            if not error:
                log.unlink()
            cluster.remove_finished_applications()
            runs.append(Entry(name, turn, run.secs, error))
            print(f"round {turn + 1}  {name}  {run.secs:5.1f} s  {error or ''}", flush=True)
    return runs


def _publish(runs: Sequence[Entry]) -> None:
    rows = []
    for name in _LEGEND:
        secs = [entry.secs for entry in runs if entry.name == name and not entry.error]
        if secs:
            least_and_most = f"{min(secs):.1f}..{max(secs):.1f}"
            rows.append([name, f"{statistics.median(secs):.1f}", least_and_most, str(len(secs))])
    page.publish(
        "check",
        "--check of a training on a standalone cluster of two workers",
        [page.format_table(["", "seconds", "min..max", "runs"], rows)],
        [
            *(f"{name}: {description}." for name, description in _LEGEND.items()),
            "Whole spark-submit processes, including Spark's start and end. Driver, master, both "
            f"workers and both executors share this machine's {os.cpu_count()} cores.",
        ],
        {"runs": [entry._asdict() for entry in runs]},
        {},
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of runs of each (3)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the order within a round (7)")
    parser.add_argument("--timeout-secs", type=float, default=600, help="limit of one run (600)")
    parser.add_argument(
        "--work", type=Path, default=_HERE / ".work", help="folder of nodes and logs"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
