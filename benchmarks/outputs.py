"""Count the output of a contestant: does it account for all images?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import pyarrow.compute as pc
import pyarrow.parquet as pq

from measure import Run


class OutputCount(NamedTuple):
    """The images in the output of a contestant."""

    images: int  # all that the output accounts for
    non_rows: str = ""  # those that became no row, e.g. "3 rejects"


def count_rows(output: Path) -> OutputCount:
    """Count the rows of all Parquet files below `output`."""
    files = output.rglob("*.parquet")
    return OutputCount(sum(pq.ParquetFile(path).metadata.num_rows for path in files))


def count_dataset(output: Path) -> OutputCount:
    """Count the rows of a Halftone dataset, and the rejects and duplicates of its manifest."""
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    rows = sum(count_rows(output / split).images for split in ("train", "validation", "test"))
    non_row_counts = {name: manifest[name] for name in ("rejects", "duplicates") if manifest[name]}
    non_rows = " and ".join(f"{count:,} {name}" for name, count in non_row_counts.items())
    return OutputCount(rows + sum(non_row_counts.values()), non_rows)


def count_successes(output: Path) -> OutputCount:
    """Count the successes of img2dataset, which also writes a row for a failed image (`status`)."""
    columns = [pq.ParquetFile(path).read(["status"])["status"] for path in output.glob("*.parquet")]
    return OutputCount(sum(pc.sum(pc.equal(column, "success")).as_py() or 0 for column in columns))


def check_run(
    run: Run, output: Path, count: int, count_output: Callable[[Path], OutputCount]
) -> tuple[Optional[str], str]:
    """Check that a run ended well and accounts for `count` images.

    Returns:
        Why the run does not count, None if it does; and the images that became no row, as text.
    """
    if run.exit_code is None:
        return f"timed out after {run.secs:.0f} s", ""
    if run.exit_code != 0:
        return f"exit code {run.exit_code}", ""
    output_count = count_output(output)
    if output_count.images != count:
        return f"{output_count.images:,} of {count:,} images in its output", output_count.non_rows
    return None, output_count.non_rows


def clear(output: Path, log: Path, keep_log: bool) -> None:
    """Remove the output of a run, and its log unless `keep_log`."""
    shutil.rmtree(output, ignore_errors=True)
    if not keep_log:
        log.unlink()
