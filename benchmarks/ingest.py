"""Images to 64x64 grey in Parquet: Halftone beside what one would use instead, on the same files.

    python benchmarks/ingest.py --count 2000 --rounds 3

Every contestant is a process of its own, timed from its start to its end. Contestants alternate, in
another order each round, and what each has written is counted: a run with a wrong count does not
count. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import choice
import contestants
import measure
import outputs
import pictures
import results
from contestants import Contestant, Task

_HERE = Path(__file__).resolve().parent


class Field(NamedTuple):
    """What all contestants run on."""

    images: Path
    paths: list[Path]
    side: str  # "1024" or "mixed"
    origin: str  # where the images are from
    bytes_each: float

    @property
    def count(self) -> int:
        return len(self.paths)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Returns the exit code: 0 all runs counted, 1 some did not."""
    asked = _parser().parse_args(argv)
    asked.work = asked.work.resolve()
    asked.work.mkdir(parents=True, exist_ok=True)
    chosen, skipped = _choose(asked)
    with measure.run_folder(asked.work) as folder:
        field = _field(asked, folder)
        if asked.cold and not measure.drop_page_cache():
            raise SystemExit("error: --cold: only root may drop the page cache, on Linux")
        if not asked.cold:
            measure.warm(field.paths)
        runs = _run_all(asked, field, chosen, folder)
    table = results.Table(
        title=f"{field.count:,} images of {field.side}x{field.side} px to 64x64 grey in Parquet",
        runs=runs,
        baseline="bare",
        legend={contestant.name: contestant.what for contestant in chosen},
        skipped=skipped,
        notes=[_say_files(field), _say_cache(asked.cold)],
    )
    versions = contestants.installed(asked.bench_python, ["img2dataset", "ray"])
    cold = "-cold" if asked.cold else ""
    results.publish(table, f"ingest-{field.count}x{field.side}{cold}", versions)
    return 0 if all(run.error is None for run in runs) else 1


def _field(asked: argparse.Namespace, folder: Path) -> Field:
    if asked.images is None:
        images = pictures.drawn(asked.work, asked.count or 2000, asked.size_px)
        origin = "drawn by the benchmark (synthetic)"
    else:
        links = folder / "images"
        images = pictures.only_images(asked.images.resolve(), asked.count, links)
        origin = f"of {asked.images.resolve().name}"
    names = pictures.found(images)
    paths = [images / name for name in names]
    bytes_each = sum(path.stat().st_size for path in paths) / len(paths)
    return Field(images, paths, pictures.side_px(images, names), origin, bytes_each)


def _choose(asked: argparse.Namespace) -> tuple[list[Contestant], dict[str, str]]:
    """Who runs, and who does not and why."""
    wanted = choice.chosen(asked.only, contestants.ALL)
    packages = [contestant.package for contestant in contestants.ALL if contestant.package]
    there = contestants.installed(asked.bench_python, packages)
    chosen, skipped = [], {}
    for contestant in wanted:
        if contestant.package and contestant.package not in there:
            skipped[contestant.name] = "not installed; see requirements-bench.txt"
            print(f"{contestant.name}: skipped, {skipped[contestant.name]}", flush=True)
        else:
            chosen.append(contestant)
    return chosen, skipped


def _run_all(
    asked: argparse.Namespace, field: Field, chosen: Sequence[Contestant], folder: Path
) -> list[results.Entry]:
    shuffle = random.Random(asked.seed).sample
    entries = []
    for turn in range(asked.rounds):
        for contestant in shuffle(list(chosen), len(chosen)):
            entry = _run_one(asked, field, contestant, turn, folder)
            print(results.one_line(entry), flush=True)
            entries.append(entry)
    return entries


def _run_one(
    asked: argparse.Namespace, field: Field, contestant: Contestant, turn: int, folder: Path
) -> results.Entry:
    output, log = folder / contestant.name, folder / f"{contestant.name}-{turn + 1}.log"
    count = min(asked.slow_count, field.count) if contestant.is_slow else field.count
    command = contestant.command(Task(field.images, count, output, asked.bench_python))
    if asked.cold:
        measure.drop_page_cache()
    run = measure.run(command, log, contestants.environment(), asked.timeout_secs)
    error, aside = outputs.check(run, output, count, contestant.counted)
    outputs.clear(output, log, keep_log=error is not None)
    return results.Entry(contestant.name, turn, count, run, error, aside)


def _say_files(field: Field) -> str:
    return f"Files: {field.origin}, {field.bytes_each / 1000:,.1f} kB each on average."


def _say_cache(is_cold: bool) -> str:
    return "Page cache: " + ("dropped before each run." if is_cold else "warm.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(contestant.name for contestant in contestants.ALL)
    parser.add_argument("--count", type=int, help="images; default 2000, or all of --images")
    parser.add_argument("--size-px", type=int, default=1024, help="side of a drawn one (1024)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant (3)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="default: drawn")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {names}")
    parser.add_argument("--cold", action="store_true", help="drop the page cache before each run")
    parser.add_argument("--slow-count", type=int, default=100, help="for image-source (100)")
    parser.add_argument("--seed", type=int, default=7, help="of the order within a round")
    parser.add_argument("--timeout-secs", type=float, default=3600, help="for one run (3600)")
    parser.add_argument("--work", type=Path, default=_HERE / ".work", help="drawn files and logs")
    bench = _HERE.parent / ".bench" / "bin" / "python"
    parser.add_argument("--bench-python", type=Path, default=bench, help="of the peers' venv")
    return parser


if __name__ == "__main__":
    sys.exit(main())
