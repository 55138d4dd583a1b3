"""Preprocess millions of images without their pixels: what the work on metadata takes.

    python benchmarks/many_images.py --counts 1000000,10000000

A server computes the pages of S3's listing. Each object is listed, gets a label and a split, is
compared with the previous version, and becomes a row of a shard with 4,096 rows; only reading and
decoding are left out, see without_pixels.py. For each number of images there are three runs: a new
dataset, the same again, and again with 1 % more images. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import psutil

import contestants
import measure
import page
from computed_s3 import BUCKET, ComputedKeys, served_computed_keys

_HERE = Path(__file__).resolve().parent
_MIB = 2**20
_CLASSES = 1000
_MORE_CLASSES = 10  # 1 % more images
_ROWS_PER_SHARD = 4096  # as many 64 x 64 grey images are 16 MiB
_STEPS = {"decode images": "write metadata in place of decoded images"}
_RUNS = ("new dataset", "the same again", "1 % more images")


class Entry(NamedTuple):
    """One run."""

    count: int
    name: str
    secs: float
    secs_by_step: dict[str, float]
    num_read: int
    num_rows: int
    num_shards: int
    driver_mib: float  # peak resident set of the driver's Python process
    worker_mib: float  # of the largest Python process of Spark
    jvm_mib: float
    load: float  # average of the last minute before the run


def main(argv: Optional[Sequence[str]] = None) -> int:
    args = _parser().parse_args(argv)
    if args.child:
        return _run_child(args)
    args.work.mkdir(parents=True, exist_ok=True)
    entries = []
    for count in map(int, args.counts.split(",")):
        with measure.run_folder(args.work.resolve()) as folder:
            for name in args.runs.split(","):
                entries.append(_run(count, name, folder))
                print(entries[-1], flush=True)
    _publish(entries)
    return 0


def _run(count: int, name: str, folder: Path) -> Entry:
    more = _MORE_CLASSES if name == _RUNS[-1] else 0
    keys = ComputedKeys(count * (_CLASSES + more) // _CLASSES, _CLASSES + more)
    result = folder / "result.json"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(_HERE.parent / "lib"), str(_HERE)]),
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    load = psutil.getloadavg()[0]
    with served_computed_keys(keys, num_processes=contestants.CORES) as endpoint_url:
        command = [sys.executable, __file__, "--child", endpoint_url, str(folder), str(result)]
        log = folder / f"{count}-{name.replace(' ', '-')}.log"
        run = measure.run(command, log, environment, timeout_secs=7200)
    if run.exit_code != 0:
        raise SystemExit(f"error: {name} of {count:,} images failed, see {log}")
    log.unlink()
    values = json.loads(result.read_text())
    driver_mib = values.pop("driver_mib")
    return Entry(
        count,
        name,
        secs=run.secs,
        driver_mib=driver_mib,
        worker_mib=run.python_peak_mib,
        jvm_mib=run.jvm_peak_mib,
        load=load,
        **values,
    )


def _run_child(args: argparse.Namespace) -> int:
    endpoint_url, folder, result = args.child
    # Imported here, as the parent forks the servers.
    import without_pixels
    from halftone.config import Config
    from halftone.preprocess import run, staging
    from halftone.spark import actions
    from halftone.spark.session import spark_session
    from halftone.storage import clients

    secs_by_step: Counter[str] = Counter()
    staging._stage_blocks = without_pixels.stage_blocks
    run_action = actions.run_action

    def timed_action(session: Any, action: Callable[[], Any], progress: Any) -> Any:
        step = progress.description.partition(" of ")[0]
        with _timed(secs_by_step, _STEPS.get(step, step)):
            return run_action(session, action, progress)

    actions.run_action = timed_action
    clients.set_options({"s3": {"endpoint_url": endpoint_url}})
    config = Config.model_validate(
        {
            "pixels": {"height_px": 1, "width_px": 1},
            "preprocess": {"rows_per_shard": _ROWS_PER_SHARD},
            "spark": {"master": f"local[{contestants.CORES}]"},
        }
    )
    dataset = f"{folder}/dataset"
    with spark_session("many images", config.spark) as session:
        manifest, num_read = run.preprocess(
            config, f"s3://{BUCKET}/images", dataset, lambda: session
        )
    Path(result).write_text(
        json.dumps(
            {
                "secs_by_step": {step: round(secs, 1) for step, secs in secs_by_step.items()},
                "num_read": num_read,
                "num_rows": manifest.rows,
                "num_shards": manifest.num_shards(),
                "driver_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MIB,
            }
        )
    )
    return 0


@contextmanager
def _timed(secs_by_step: Counter[str], step: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        secs_by_step[step] += time.perf_counter() - start


def _publish(entries: Sequence[Entry]) -> None:
    head = ["images", "run", "s", "s a million", "driver, MiB", "largest worker, MiB", "JVM, MiB"]
    rows = [
        [
            f"{entry.count:,}",
            entry.name,
            f"{entry.secs:,.0f}",
            f"{entry.secs / entry.count * 1e6:.1f}",
            *(f"{mib:,.0f}" for mib in (entry.driver_mib, entry.worker_mib, entry.jvm_mib)),
        ]
        for entry in entries
    ]
    steps = list(dict.fromkeys(step for entry in entries for step in entry.secs_by_step))
    step_rows = [
        [step, *(f"{entry.secs_by_step.get(step, 0):,.1f}" for entry in entries)] for step in steps
    ]
    step_head = ["Spark jobs, s", *(f"{entry.count:,}: {entry.name}" for entry in entries)]
    page.publish(
        "many-images",
        "Preprocessing of millions of images, without reading and decoding them",
        [page.format_table(head, rows), page.format_table(step_head, step_rows)],
        [
            "The server that computes the listing runs on the same cores.",
            "Load average before the runs: "
            + ", ".join(f"{entry.load:.1f}" for entry in entries)
            + ".",
        ],
        {"runs": [entry._asdict() for entry in entries]},
        {},
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", default="1000000,10000000", help="numbers of images")
    parser.add_argument("--runs", default=",".join(_RUNS), help="which runs, in this order")
    parser.add_argument("--work", type=Path, default=_HERE / ".work", help="folder for datasets")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
