"""A feeding process: for each line on stdin it makes a pass, and prints the cost of it as JSON.

    python benchmarks/feeder.py MODULE:FUNCTION DATASET RECORDS NUM_SHARDS

MODULE is a module of feeds/; FUNCTION takes the task and returns the function that makes a pass.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time

from feeds.rows import Task


def main(function: str, dataset: str, records: str, num_shards: str) -> None:
    module, _, name = function.partition(":")
    prepare = getattr(importlib.import_module(f"feeds.{module}"), name)
    task = Task(dataset, records, int(num_shards))
    expected = sum(shard.rows for shard in task.shards())
    run_pass = prepare(task)
    for number, _ in enumerate(sys.stdin, start=1):
        start, cpu_start = time.perf_counter(), time.process_time()
        rows = run_pass(number)
        if rows != expected:
            raise SystemExit(f"error: a pass delivered {rows:,} of {expected:,} rows")
        cost = {
            "rows": rows,
            "secs": time.perf_counter() - start,
            "cpu_secs": time.process_time() - cpu_start,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(cost), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
