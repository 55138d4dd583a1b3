"""Text catalogues of the same images, listed in one process: lines a second of each format.

    python benchmarks/catalogues.py --count 1000000 --rounds 5

The rounds alternate between the formats; the figures are medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from halftone.listing import UnitRemarks, list_unit, plan_listing

ROOT = "s3://bucket/images"


def format_lines(suffix: str, count: int) -> Iterator[str]:
    if suffix == "csv":
        yield "path,label\n"
    for number in range(count):
        path, label = f"folder-{number % 1000:03d}/image-{number:09d}.jpg", number % 10
        if suffix == "csv":
            yield f"{path},class-{label}\n"
        elif suffix == "lst":
            yield f"{number}\t{label}\t{path}\n"
        elif suffix == "jsonl":
            yield json.dumps({"path": path, "label": f"class-{label}"}) + "\n"
        else:
            metadata = {"class-name": f"class-{label}", "type": "groundtruth/image-classification"}
            line = {"source-ref": f"{ROOT}/{path}", "pet": label, "pet-metadata": metadata}
            yield json.dumps(line) + "\n"


def list_all(url: str) -> int:
    plan = plan_listing(ROOT, url, ["jpg"])
    return sum(
        table.num_rows
        for unit in plan.units.to_pylist()
        for table in list_unit(plan, UnitRemarks(), **unit)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    secs = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        urls = {suffix: f"{folder}/list.{suffix}" for suffix in ("csv", "jsonl", "lst", "manifest")}
        for suffix, url in urls.items():
            with Path(url).open("w", encoding="utf-8") as file:
                file.writelines(format_lines(suffix, args.count))
        for _ in range(args.rounds):
            for suffix, url in urls.items():
                started = time.process_time()
                assert list_all(url) == args.count
                secs[suffix].append(time.process_time() - started)
    for suffix, values in secs.items():
        print(f"{suffix}: {args.count / statistics.median(values):,.0f} lines/s")


if __name__ == "__main__":
    main()
