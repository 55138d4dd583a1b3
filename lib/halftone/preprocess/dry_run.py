"""What preprocessing would give and cost, from a sample of the images; nothing is written.

One of the papers that Halftone runs did this by hand: it transformed its smallest part first, to
see whether the rest would fit into memory (Petrini, 2022, section 2.4).
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from functools import partial
from typing import Any, Callable, NamedTuple

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.config import Config, PixelSpec
from halftone.preprocess import catalogue
from halftone.preprocess.decode_block import OK, decode_images
from halftone.progress import format_duration
from halftone.spark import tasks
from halftone.spark.session import num_cores

_MIN_IMAGES = 50
_SAMPLE_FRACTION = 0.01


class PreprocessEstimate(NamedTuple):
    num_images: int
    num_sampled: int
    rejects: dict[str, int]  # of the sample, by reason
    input_bytes: int  # of all images
    row_bytes: int  # of one row, pixels and provenance
    secs_per_image: float  # of one core
    cores: int
    worker_bytes: int  # most memory that a Python worker held

    @property
    def rows(self) -> int:
        """Images that become rows, if the others are like the sample."""
        kept = self.num_sampled - sum(self.rejects.values())
        return round(self.num_images * kept / self.num_sampled)


def estimate_preprocessing(
    config: Config, images: str, session: Callable[[], SparkSession]
) -> PreprocessEstimate:
    """Decode 1 % of the images below `images`, and at least 50, as preprocess would.

    Raises:
        InputError: as `catalogue.build` does.
    """
    found = catalogue.build_catalogue(storage.normalise_url(images), config)
    spark = session()
    cores = num_cores(spark)
    # Evenly over all splits; within a split the order is that of a hash, and so a fair draw.
    wanted = max(_MIN_IMAGES, round(_SAMPLE_FRACTION * found.entries.num_rows))
    step = max(1, found.entries.num_rows // wanted)
    sample = arrow.take_rows(found.entries, range(0, found.entries.num_rows, step))
    slices = min(cores, sample.num_rows)
    measured = tasks.run_tasks(
        spark,
        partial(_decode_sample, found.root, config.pixels, sample, slices),
        slices,
        num_slices=slices,
        progress=tasks.TaskProgress("sample", sample.num_rows, "images"),
    )
    rejects: Counter[str] = Counter()
    for part in measured:
        rejects.update(part["rejects"])
    row_bytes = [part["row_bytes"] / part["rows"] for part in measured if part["rows"]]
    return PreprocessEstimate(
        num_images=found.inputs,
        num_sampled=sample.num_rows,
        rejects=dict(rejects.most_common()),
        input_bytes=int(arrow.to_numpy(found.entries["size_bytes"]).clip(min=0).sum()),
        row_bytes=round(sum(row_bytes) / len(row_bytes)) if row_bytes else 0,
        secs_per_image=sum(part["secs"] for part in measured) / sample.num_rows,
        cores=cores,
        worker_bytes=max(part["worker_bytes"] for part in measured),
    )


def _decode_sample(
    root: str, pixels: PixelSpec, sample: pa.Table, slices: int, number: int
) -> dict[str, Any]:
    """Decode every `slices`-th image of the sample in a Python worker."""
    own = arrow.take_rows(sample, range(number, sample.num_rows, slices))
    started = time.monotonic()
    part = decode_images(root, own, pixels, read_threads=8)
    status = Counter(part["status"].to_pylist())
    rows = status.pop(OK, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "secs": time.monotonic() - started,
        "rows": rows,
        "row_bytes": part.nbytes,
        "rejects": status,
        "worker_bytes": peak * (1 if sys.platform == "darwin" else 1024),
    }


def format_estimate(estimate: PreprocessEstimate) -> str:
    """Say it in lines, the last of which is the command's result."""
    rejected = sum(estimate.rejects.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in estimate.rejects.items())
    secs = estimate.num_images * estimate.secs_per_image / estimate.cores
    return "\n".join(
        [
            f"sample: {estimate.num_sampled:,} of {estimate.num_images:,} images",
            f"rejects: {rejected} of the sample, {rejected / estimate.num_sampled:.1%}"
            + (f" ({reasons})" if reasons else ""),
            f"rows: about {estimate.rows:,}",
            f"input: {_format_bytes(estimate.input_bytes)}",
            f"output: about {_format_bytes(estimate.rows * estimate.row_bytes)}, {estimate.row_bytes:,} bytes a row",
            f"time: about {format_duration(secs)} on {estimate.cores} cores, "
            f"{1000 * estimate.secs_per_image:.2f} ms an image and core, besides the start of Spark",
            f"memory: {_format_bytes(estimate.worker_bytes)} in each of {estimate.cores} Python workers",
            "estimate only: nothing was written",
        ]
    )


def _format_bytes(num_bytes: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:,.0f} {unit}" if unit == "bytes" else f"{num_bytes:,.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.1f} TB"
