"""Estimate the result and the cost of preprocessing from a sample; nothing is written.

One of the papers that Halftone reproduces did this by hand: it transformed its smallest part first,
to see whether the rest would fit into memory (Petrini, 2022, section 2.4).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Callable, NamedTuple

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import storage
from halftone.config import Config, PixelSpec
from halftone.dataset import remarks, schema
from halftone.listing import plan_configured
from halftone.preprocess.catalogue import build_catalogue, list_entries
from halftone.preprocess.decode_block import OK, STATUS, decode_images
from halftone.preprocess.entries import POSITION
from halftone.preprocess.stratify import find_classes
from halftone.progress import format_duration, log_notes
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, map_tables
from halftone.spark.session import num_cores

_MIN_IMAGES = 50
_SAMPLE_FRACTION = 0.01
_IMAGES_AT_ONCE = 64


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
    split_method: str  # see remarks.describe_method

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
    settings = config.preprocess
    plan = plan_configured(storage.normalise_url(images), settings)
    log_notes(plan.notes)
    if config.paths.changes:
        log_notes([f"{config.paths.changes} is not read: an estimate is of all images"])
    spark = session()
    catalogue = build_catalogue(lambda: spark, plan, config, None)
    log_notes(catalogue.notes[len(plan.notes) :])
    cores = num_cores(spark)
    stratified = find_classes(plan.root, catalogue.summary, config.splits)
    num_images = catalogue.summary.num_images
    num_sampled = min(num_images, max(_MIN_IMAGES, round(_SAMPLE_FRACTION * num_images)))
    plan = plan._replace(units=catalogue.units)
    entries = list_entries(spark, plan, config).where(f"{schema.REASON} = ''")
    # The positions are hashes, so the first rows are a random sample.
    sample = entries.orderBy(POSITION, schema.PATH).limit(num_sampled).repartition(cores)
    measurements = collect_rows(
        map_tables(sample, partial(_decode_sample, plan.root, config.pixels), _MEASUREMENTS),
        ActionProgress("sample", "decode a sample of the images", num_sampled, "images"),
    )
    rejects: Counter[str] = Counter()
    for row in measurements:
        rejects.update(json.loads(row.rejects))
    row_bytes = [row.part_bytes / row.rows for row in measurements if row.rows]
    return PreprocessEstimate(
        num_images=catalogue.inputs,
        num_sampled=num_sampled,
        rejects=dict(rejects.most_common()),
        input_bytes=catalogue.summary.num_bytes,
        row_bytes=round(sum(row_bytes) / len(row_bytes)) if row_bytes else 0,
        secs_per_image=sum(row.secs for row in measurements) / num_sampled,
        cores=cores,
        worker_bytes=max(row.worker_bytes for row in measurements),
        split_method=remarks.describe_method(
            config.splits, catalogue.used_columns, len(catalogue.summary.labels), stratified
        ),
    )


_MEASUREMENTS = pa.schema(
    [
        pa.field("secs", pa.float64()),
        pa.field("rows", pa.int64()),  # images that were decoded
        pa.field("part_bytes", pa.int64()),
        pa.field("rejects", pa.string()),  # JSON: number by reason
        pa.field("worker_bytes", pa.int64()),  # peak
    ]
)


def _decode_sample(root: str, pixels: PixelSpec, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Decode the images of a partition, in a Python worker."""
    started = time.monotonic()
    counts: Counter[str] = Counter()
    part_bytes = 0
    for table in tables:
        for start in range(0, table.num_rows, _IMAGES_AT_ONCE):
            entries = table.slice(start, _IMAGES_AT_ONCE)
            part = decode_images(root, entries, pixels, read_threads=8)
            counts.update(part[STATUS].to_pylist())
            part_bytes += part.nbytes
    num_rows = counts.pop(OK, 0)
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_bytes = peak_rss * (1 if sys.platform == "darwin" else 1024)  # KiB on Linux
    values = (time.monotonic() - started, num_rows, part_bytes, json.dumps(counts), peak_bytes)
    yield build_table([values], _MEASUREMENTS)


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
            f"splits: {estimate.split_method}",
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
