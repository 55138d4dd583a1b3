"""What a contestant wrote: whether all images are accounted for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import pyarrow.compute as pc
import pyarrow.parquet as pq

from measure import Run


class Found(NamedTuple):
    """What a contestant wrote."""

    images: int  # that the output accounts for
    aside: str = ""  # those of them that are no rows


def count_rows(output: Path) -> Found:
    """Count the rows of all Parquet files below `output`."""
    files = output.rglob("*.parquet")
    return Found(sum(pq.ParquetFile(path).metadata.num_rows for path in files))


def count_dataset(output: Path) -> Found:
    """Count Halftone's rows; an image that became no row is one that the manifest says why of."""
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    rows = sum(count_rows(output / split).images for split in ("train", "validation", "test"))
    others = {name: manifest[name] for name in ("rejects", "duplicates") if manifest[name]}
    aside = " and ".join(f"{count:,} {name}" for name, count in others.items())
    return Found(rows + sum(others.values()), aside)


def count_successes(output: Path) -> Found:
    """img2dataset writes a row for an image that failed as well, and says so in `status`."""
    columns = [pq.ParquetFile(path).read(["status"])["status"] for path in output.glob("*.parquet")]
    return Found(sum(pc.sum(pc.equal(column, "success")).as_py() or 0 for column in columns))


def check(
    run: Run, output: Path, count: int, counted: Callable[[Path], Found]
) -> tuple[Optional[str], str]:
    """Return why a run does not count, None where it does, and what of it became no rows."""
    if run.exit_code is None:
        return f"timed out after {run.secs:.0f} s", ""
    if run.exit_code != 0:
        return f"exit code {run.exit_code}", ""
    found = counted(output)
    if found.images != count:
        return f"{found.images:,} of {count:,} images in its output", found.aside
    return None, found.aside


def clear(output: Path, log: Path, keep_log: bool) -> None:
    """Remove what a run wrote; its log stays where it says why the run failed."""
    shutil.rmtree(output, ignore_errors=True)
    if not keep_log:
        log.unlink()
