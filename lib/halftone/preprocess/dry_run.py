"""Estimate the result and the cost of preprocessing from a sample; nothing is written.

One of the papers that Halftone reproduces did this by hand: it transformed its smallest part first,
to see whether the rest would fit into memory (Petrini, 2022, section 2.4).
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from functools import partial
from typing import Callable, NamedTuple

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.config import Config, PixelSpec
from halftone.dataset import schema
from halftone.preprocess.catalogue import build_catalogue
from halftone.preprocess.decode_block import OK, STATUS, decode_images
from halftone.progress import format_duration, print_notes
from halftone.spark import tasks
from halftone.spark.session import num_cores

_MIN_IMAGES = 50
_SAMPLE_FRACTION = 0.01


class PreprocessEstimate(NamedTuple):
    """The measurements of the sample, and what follows from them for all images."""

    num_images: int
    num_sampled: int
    rejects: dict[str, int]  # of the sample, by reason
    input_bytes: int  # of all images
    row_bytes: int  # of one row, with pixels and provenance
    secs_per_image: float  # on one core
    cores: int
    worker_bytes: int  # peak memory of a Python worker

    @property
    def rows(self) -> int:
        """The number of images that become rows, extrapolated from the sample."""
        sampled_rows = self.num_sampled - sum(self.rejects.values())
        return round(self.num_images * sampled_rows / self.num_sampled)


def estimate_preprocessing(
    config: Config, images: str, session: Callable[[], SparkSession]
) -> PreprocessEstimate:
    """Decode 1 % of the images below `images`, and at least 50, as `preprocess` would.

    Args:
        session: returns the SparkSession.

    Raises:
        InputError: as `catalogue.build_catalogue`.
    """
    catalogue = build_catalogue(storage.normalise_url(images), config)
    print_notes(catalogue.notes)
    spark = session()
    cores = num_cores(spark)
    num_entries = catalogue.entries.num_rows
    # Every n-th entry covers all splits evenly. It is a random sample, as the entries of a split
    # are sorted by a hash.
    target_images = max(_MIN_IMAGES, round(_SAMPLE_FRACTION * num_entries))
    step = max(1, num_entries // target_images)
    sample = arrow.take_rows(catalogue.entries, range(0, num_entries, step))
    num_slices = min(cores, sample.num_rows)
    measurements = tasks.run_tasks(
        spark,
        partial(_decode_sample, catalogue.root, config.pixels, sample, num_slices),
        num_slices,
        num_slices=num_slices,
        progress=tasks.TaskProgress("sample", sample.num_rows, "images"),
    )
    rejects: Counter[str] = Counter()
    for measurement in measurements:
        rejects.update(measurement.rejects)
    row_bytes = [m.part_bytes / m.num_rows for m in measurements if m.num_rows]
    return PreprocessEstimate(
        num_images=catalogue.inputs,
        num_sampled=sample.num_rows,
        rejects=dict(rejects.most_common()),
        input_bytes=int(arrow.to_numpy(catalogue.entries[schema.SIZE_BYTES]).clip(min=0).sum()),
        row_bytes=round(sum(row_bytes) / len(row_bytes)) if row_bytes else 0,
        secs_per_image=sum(measurement.secs for measurement in measurements) / sample.num_rows,
        cores=cores,
        worker_bytes=max(measurement.worker_bytes for measurement in measurements),
    )


class _SampleMeasurement(NamedTuple):
    secs: float
    num_rows: int  # images that were decoded
    part_bytes: int
    rejects: Counter[str]
    worker_bytes: int


def _decode_sample(
    root: str, pixels: PixelSpec, sample: pa.Table, num_slices: int, index: int
) -> _SampleMeasurement:
    """Decode every `num_slices`-th image of the sample, from `index` on, in a Python worker."""
    entries = arrow.take_rows(sample, range(index, sample.num_rows, num_slices))
    started = time.monotonic()
    part = decode_images(root, entries, pixels, read_threads=8)
    counts = Counter(part[STATUS].to_pylist())
    num_rows = counts.pop(OK, 0)
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _SampleMeasurement(
        secs=time.monotonic() - started,
        num_rows=num_rows,
        part_bytes=part.nbytes,
        rejects=counts,
        worker_bytes=peak_rss * (1 if sys.platform == "darwin" else 1024),  # KiB on Linux
    )


def format_estimate(estimate: PreprocessEstimate) -> str:
    """Return the estimate as lines of text; the last line is the result of the command."""
    num_rejects = sum(estimate.rejects.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in estimate.rejects.items())
    secs = estimate.num_images * estimate.secs_per_image / estimate.cores
    return "\n".join(
        [
            f"sample: {estimate.num_sampled:,} of {estimate.num_images:,} images",
            f"rejects: {num_rejects} of the sample, {num_rejects / estimate.num_sampled:.1%}"
            + (f" ({reasons})" if reasons else ""),
            f"rows: about {estimate.rows:,}",
            f"input: {_format_bytes(estimate.input_bytes)}",
            f"output: about {_format_bytes(estimate.rows * estimate.row_bytes)}, "
            f"{estimate.row_bytes:,} bytes per row",
            f"time: about {format_duration(secs)} on {estimate.cores} cores, "
            f"{1000 * estimate.secs_per_image:.2f} ms per image and core, plus the start of Spark",
            f"memory: {_format_bytes(estimate.worker_bytes)} in each of {estimate.cores} "
            "Python workers",
            "estimate only: nothing was written",
        ]
    )


def _format_bytes(num_bytes: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:,.0f} {unit}" if unit == "bytes" else f"{num_bytes:,.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.1f} TB"
