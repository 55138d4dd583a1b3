"""Images to 64x64 grey in Parquet: compare Halftone with common alternatives, on the same files.

    python benchmarks/ingest.py --count 2000 --rounds 3

Every contestant is a separate process, timed from start to end. Contestants alternate, in a
different order each round. The output of each run is counted: a run with a wrong count is invalid.
See benchmarks/README.md.
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


class ImageSet(NamedTuple):
    """The images that all contestants read."""

    images: Path
    paths: list[Path]
    side: str  # "1024" or "mixed"
    origin: str  # for the notes below the table
    bytes_each: float

    @property
    def count(self) -> int:
        return len(self.paths)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return exit code 0 if all runs count, else 1."""
    args = _parser().parse_args(argv)
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    selected, skipped = _select_contestants(args)
    with measure.run_folder(args.work) as folder:
        image_set = _find_images(args, folder)
        if args.cold and not measure.drop_page_cache():
            raise SystemExit("error: --cold: only root may drop the page cache, on Linux")
        if not args.cold:
            measure.warm_page_cache(image_set.paths)
        runs = _run_all(args, image_set, selected, folder)
    size = f"{image_set.side}x{image_set.side}"
    table = results.Table(
        title=f"{image_set.count:,} images of {size} px to 64x64 grey in Parquet",
        runs=runs,
        baseline="bare",
        legend={contestant.name: contestant.description for contestant in selected},
        skipped=skipped,
        notes=[_describe_files(image_set), _describe_cache(args.cold)],
    )
    versions = contestants.installed_versions(args.bench_python, ["img2dataset", "ray", "daft"])
    cold = "-cold" if args.cold else ""
    results.publish(table, f"ingest-{image_set.count}x{image_set.side}{cold}", versions)
    return 0 if all(run.error is None for run in runs) else 1


def _find_images(args: argparse.Namespace, folder: Path) -> ImageSet:
    if args.images is None:
        images = pictures.draw_images(args.work, args.count or 2000, args.size_px)
        origin = "drawn by the benchmark (synthetic)"
    else:
        links = folder / "images"
        images = pictures.select_images(args.images.resolve(), args.count, links)
        origin = f"of {args.images.resolve().name}"
    names = pictures.list_images(images)
    paths = [images / name for name in names]
    bytes_each = sum(path.stat().st_size for path in paths) / len(paths)
    return ImageSet(images, paths, pictures.describe_side(images, names), origin, bytes_each)


def _select_contestants(args: argparse.Namespace) -> tuple[list[Contestant], dict[str, str]]:
    """Return the contestants that run, and for the skipped ones the reason."""
    wanted = choice.select(args.only, contestants.ALL)
    packages = [contestant.package for contestant in contestants.ALL if contestant.package]
    installed = contestants.installed_versions(args.bench_python, packages)
    selected, skipped = [], {}
    for contestant in wanted:
        if contestant.package and contestant.package not in installed:
            skipped[contestant.name] = "not installed; see requirements-bench.txt"
            print(f"{contestant.name}: skipped, {skipped[contestant.name]}", flush=True)
        else:
            selected.append(contestant)
    return selected, skipped


def _run_all(
    args: argparse.Namespace, image_set: ImageSet, selected: Sequence[Contestant], folder: Path
) -> list[results.Entry]:
    shuffle = random.Random(args.seed).sample
    entries = []
    for turn in range(args.rounds):
        for contestant in shuffle(list(selected), len(selected)):
            entry = _run_one(args, image_set, contestant, turn, folder)
            print(results.format_run(entry), flush=True)
            entries.append(entry)
    return entries


def _run_one(
    args: argparse.Namespace, image_set: ImageSet, contestant: Contestant, turn: int, folder: Path
) -> results.Entry:
    output, log = folder / contestant.name, folder / f"{contestant.name}-{turn + 1}.log"
    count = min(args.slow_count, image_set.count) if contestant.is_slow else image_set.count
    command = contestant.command(Task(image_set.images, count, output, args.bench_python))
    if args.cold:
        measure.drop_page_cache()
    run = measure.run(command, log, contestants.environment(), args.timeout_secs)
    error, non_rows = outputs.check_run(run, output, count, contestant.count_output)
    outputs.clear(output, log, keep_log=error is not None)
    return results.Entry(contestant.name, turn, count, run, error, non_rows)


def _describe_files(image_set: ImageSet) -> str:
    return f"Files: {image_set.origin}, {image_set.bytes_each / 1000:,.1f} kB each on average."


def _describe_cache(is_cold: bool) -> str:
    return "Page cache: " + ("dropped before each run." if is_cold else "warm.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(contestant.name for contestant in contestants.ALL)
    parser.add_argument(
        "--count", type=int, help="number of images; default 2000, or all of --images"
    )
    parser.add_argument("--size-px", type=int, default=1024, help="side of drawn images (1024)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="number of runs of each contestant (3)"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="default: drawn images")
    parser.add_argument("--only", metavar="NAME,...", help=f"some of {names}")
    parser.add_argument("--cold", action="store_true", help="drop the page cache before each run")
    parser.add_argument(
        "--slow-count", type=int, default=100, help="number of images for image-source (100)"
    )
    parser.add_argument("--seed", type=int, default=7, help="seed of the order within a round (7)")
    parser.add_argument("--timeout-secs", type=float, default=3600, help="limit of one run (3600)")
    parser.add_argument(
        "--work", type=Path, default=_HERE / ".work", help="folder of drawn files and logs"
    )
    bench = _HERE.parent / ".bench" / "bin" / "python"
    parser.add_argument(
        "--bench-python", type=Path, default=bench, help="Python of the peers' venv"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
