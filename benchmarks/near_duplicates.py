"""Find near duplicates among perceptual hashes: Halftone's Spark job and one process.

    python benchmarks/near_duplicates.py --counts 1000000,2000000,10000000

The rows are random, 80 % in the first split and 10 % in each of two later ones; 2 % are copies of
rows with up to 6 other bits. The result is checked. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

import choice
import contestants
import measure
import page
from halftone import arrow
from halftone.config import SparkSettings
from halftone.preprocess import hash_blocks, near_duplicates
from halftone.preprocess.hash_keys import SearchPlan, key_masks
from halftone.spark.session import spark_session

_HERE = Path(__file__).resolve().parent
_FILE_ROWS = 250_000
_COPY_FRACTION = 0.02
_CHECKED_ROWS = 60
_MATCHES = ["id", "near_id", "distance"]


class Contestant(NamedTuple):
    name: str
    description: str  # for the table's legend


_ALL = (
    Contestant("halftone", f"the Spark job on local[{contestants.CORES}], Parquet to Parquet"),
    Contestant("process", "one process, in memory, with keys of single bands instead of pairs"),
)


class Entry(NamedTuple):
    """One run of one contestant."""

    name: str
    count: int
    turn: int
    secs: float
    cpu_secs: float  # of all processes
    matches: int
    load: float  # average of the last minute before the run
    error: Optional[str]  # why the run does not count


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return exit code 0 if all runs count, else 1."""
    args = _parser().parse_args(argv)
    args.work.mkdir(parents=True, exist_ok=True)
    selected = choice.select(args.only, _ALL)
    settings = SparkSettings(master=f"local[{contestants.CORES}]")
    shuffle = random.Random(args.seed).sample
    runs: list[Entry] = []
    with spark_session("near duplicates", settings) as session:
        _warm_up(session, args)
        for count in map(int, args.counts.split(",")):
            with measure.run_folder(args.work.resolve()) as folder:
                rows = _write_rows(folder / "hashes", count)
                for turn in range(args.rounds):
                    for contestant in shuffle(selected, len(selected)):
                        if contestant.name == "process" and count > args.process_count:
                            continue
                        runs.append(_run(contestant.name, turn, session, folder, rows, args))
                        print(runs[-1], flush=True)
    _publish(args, selected, runs)
    return 0 if all(run.error is None for run in runs) else 1


def _warm_up(session: SparkSession, args: argparse.Namespace) -> None:
    with measure.run_folder(args.work.resolve()) as folder:
        _run("halftone", 0, session, folder, _write_rows(folder / "hashes", 10_000), args)


def _write_rows(folder: Path, count: int) -> pa.Table:
    """Write rows of HASHES to Parquet files and return them."""
    rng = np.random.default_rng(count)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    copies = hashes[rng.integers(0, count, int(count * _COPY_FRACTION))]
    for _ in range(6):
        flips = rng.integers(0, 2, len(copies), dtype=np.uint64)
        copies ^= flips << rng.integers(0, 64, len(copies), dtype=np.uint64)
    hashes[rng.choice(count, len(copies), replace=False)] = copies
    splits = rng.choice(3, count, p=[0.8, 0.1, 0.1]).astype(np.int8)
    columns = [np.arange(count), splits, rng.integers(0, 10, count), hashes.view(np.int64)]
    table = pa.table(columns, schema=hash_blocks.HASHES)
    folder.mkdir()
    for start in range(0, count, _FILE_ROWS):
        pq.write_table(table.slice(start, _FILE_ROWS), folder / f"{start:010d}.parquet")
    return table


def _run(
    name: str,
    turn: int,
    session: SparkSession,
    folder: Path,
    rows: pa.Table,
    args: argparse.Namespace,
) -> Entry:
    load, cpu_secs, start = psutil.getloadavg()[0], _cpu_secs(), time.perf_counter()
    if name == "halftone":
        matches = _match_in_spark(session, folder, rows.num_rows, args.distance)
    else:
        matches = _match_in_process(rows, args.distance)
    secs, cpu_secs = time.perf_counter() - start, _cpu_secs() - cpu_secs
    error = _check(rows, matches, args.distance)
    return Entry(name, rows.num_rows, turn, secs, cpu_secs, len(matches), load, error)


def _match_in_spark(
    session: SparkSession, folder: Path, count: int, max_distance: int
) -> np.ndarray:
    hashes = session.read.parquet(str(folder / "hashes"))
    matches = near_duplicates.match_hashes(hashes, count, max_distance)
    matches.write.mode("overwrite").parquet(str(folder / "matches"))
    table = pq.read_table(folder / "matches", columns=_MATCHES)
    found = np.stack([arrow.to_numpy(column).astype(np.int64) for column in table.columns], 1)
    return found[np.argsort(found[:, 0])]


def _match_in_process(rows: pa.Table, max_distance: int) -> np.ndarray:
    masks = tuple(key_masks(max_distance, 1))
    plan = SearchPlan(max_distance, masks, num_ranges=1, num_partitions=1)
    blocks = hash_blocks.pack_blocks(plan, [0], iter([rows]))
    found = pa.concat_tables(hash_blocks.search_blocks(plan, blocks))
    ids, near_ids, ranks = (arrow.to_numpy(column) for column in found.columns)
    order = np.lexsort((near_ids, ranks, ids))
    order = order[np.diff(ids[order], prepend=-1) != 0]
    return np.stack([ids[order], near_ids[order], ranks[order] // 2], 1)


def _cpu_secs() -> float:
    root = psutil.Process()
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _check(rows: pa.Table, matches: np.ndarray, max_distance: int) -> Optional[str]:
    """Compare some rows, half of them with a match, with all rows of earlier splits."""
    ids, splits, labels, signed = (arrow.to_numpy(column) for column in rows.columns)
    hashes = signed.view(np.uint64)
    rng = np.random.default_rng(0)
    later = np.flatnonzero(splits > 0)
    sample = [rng.choice(values, _CHECKED_ROWS // 2) for values in (matches[:, 0], later)]
    found = {row: (near, distance) for row, near, distance in matches.tolist()}
    for row in np.concatenate(sample).tolist():
        distance = near_duplicates.count_bits(hashes ^ hashes[row])
        distance[splits >= splits[row]] = 64
        least = distance.min()
        near = np.flatnonzero(distance == least)
        same = near[labels[near] == labels[row]]
        expected = (int(ids[(same if len(same) else near)[0]]), int(least))
        if found.get(row) != (expected if least <= max_distance else None):
            return f"row {row} has {found.get(row)}, not {expected}"
    return None


def _publish(
    args: argparse.Namespace, selected: Sequence[Contestant], runs: Sequence[Entry]
) -> None:
    head = ["", "hashes", "seconds", "min..max", "CPU seconds", "matches", "load before", "runs"]
    lines = []
    for count in sorted({run.count for run in runs}):
        for contestant in selected:
            valid = [run for run in runs if (run.name, run.count) == (contestant.name, count)]
            valid = [run for run in valid if run.error is None]
            if valid:
                lines.append([contestant.name, f"{count:,}", *_cells(valid)])
    notes = [f"{contestant.name}: {contestant.description}." for contestant in selected]
    notes.append(f"Distance {args.distance}; {_CHECKED_ROWS} rows of each result are checked.")
    notes += [
        f"{run.name}, {run.count:,}: does not count: {run.error}." for run in runs if run.error
    ]
    title = f"Near duplicates at a distance of {args.distance}"
    record = {"runs": [run._asdict() for run in runs]}
    page.publish("near-duplicates", title, [page.format_table(head, lines)], notes, record, {})


def _cells(runs: Sequence[Entry]) -> list[str]:
    secs = [run.secs for run in runs]
    return [
        f"{statistics.median(secs):.1f}",
        f"{min(secs):.1f}..{max(secs):.1f}",
        f"{statistics.median(run.cpu_secs for run in runs):.1f}",
        f"{runs[0].matches:,}",
        f"{max(run.load for run in runs):.1f}",
        str(len(runs)),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", default="60000,1000000,2000000,10000000", metavar="N,...")
    parser.add_argument("--distance", type=int, default=4, help="bits that may differ (4)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each (1)")
    parser.add_argument("--only", metavar="NAME,...", help="only these contestants")
    parser.add_argument("--seed", type=int, default=7, help="seed of the order within a round (7)")
    parser.add_argument(
        "--process-count", type=int, default=2_000_000, help="most hashes for `process` (2,000,000)"
    )
    parser.add_argument("--work", type=Path, default=_HERE / ".work", help="folder of the rows")
    return parser


if __name__ == "__main__":
    sys.exit(main())
