"""Raw images to a dataset: Spark hands out paths, its Python workers read, decode and write.

Three steps. The catalogue lists the images and gives each its label, split and place. Blocks of
it are decoded, in parallel, into staged parts. What became of each image is then known, so the
rows are cut into shards of equal size, which are written, in parallel, and made visible by one
manifest at the end. Every step is a function of the input and the config alone: a rerun after a
kill takes the parts that are there and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from functools import partial
from typing import Callable, Optional

from pyspark.sql import SparkSession

import halftone
from halftone import catalogue, ingest, manifest, schema, shards, storage, tasks
from halftone.catalogue import Catalogue
from halftone.config import Config
from halftone.errors import InputError
from halftone.images import PixelSpec
from halftone.ingest import Work
from halftone.manifest import Manifest, ShardFile
from halftone.outcome import Outcome, judge, look_alikes
from halftone.session import num_cores
from halftone.shards import Shard
from halftone.splits import SPLITS

# A name that begins with an underscore is no data to Spark, to Petastorm or to our own listing.
_STAGING = "_staging"
_MIN_BLOCK, _MAX_BLOCK = 32, 2000
_BLOCKS_PER_CORE = 8  # so that a slow block at the end leaves no core idle for long


def preprocess(
    config: Config, images: str, dataset: str, session: Callable[[], SparkSession]
) -> tuple[Manifest, bool]:
    """Make the dataset at `dataset` from the images below `images`.

    Args:
        session: gives the SparkSession; called only where there is work for it.

    Returns:
        The manifest, and whether there was anything to do: where nothing changed since the last
        run, the standing dataset is given back in the time that a listing takes.

    Raises:
        InputError: the input, the output's folder or the share of rejects is not acceptable.
    """
    images, dataset = storage.normalise(images), storage.normalise(dataset)
    standing = _standing(dataset, config)
    found = catalogue.build(images, config)
    listing = _listing_digest(found, config)
    if standing is not None and standing.listing == listing:
        _tidy(dataset, standing)
        return standing, False
    spark = session()
    staging = storage.join(dataset, _STAGING, listing)
    work, num_blocks = _plan_work(found, config, staging, num_cores(spark))
    _decode(spark, work, num_blocks, found.entries.num_rows)
    parts = ingest.metadata(work, num_blocks)
    full_digests = _compare(spark, look_alikes([part for _, part in parts]))
    outcome = judge(found, parts, full_digests, config.preprocess.max_reject_fraction)
    made = _write(spark, config, found, outcome, dataset, listing)
    manifest.publish(dataset, made)
    _tidy(dataset, made)
    return made, True


def _standing(dataset: str, config: Config) -> Optional[Manifest]:
    """Return the manifest of the dataset that stands at `dataset`, None where nothing does."""
    if storage.exists(storage.join(dataset, manifest.NAME)):
        standing = manifest.read(dataset)
        differing = _differing(standing, config)
        if differing:
            raise InputError(
                f"{dataset}: the dataset there was made with other settings, and is left alone: "
                f"{'; '.join(differing)}. Give another --output, or remove the old dataset"
            )
        return standing
    if storage.exists(dataset) and not storage.exists(storage.join(dataset, _STAGING)):
        held = storage.list_names(dataset)
        if held:
            raise InputError(
                f"{dataset}: exists and is not a dataset (it holds {', '.join(held[:3])}"
                f"{', ...' if len(held) > 3 else ''} and no {manifest.NAME}); give another --output"
            )
    return None


def _differing(standing: Manifest, config: Config) -> list[str]:
    old, new = {"seed": standing.seed}, {"seed": config.seed}
    for name in ("pixels", "splits"):
        old.update({f"{name}.{key}": value for key, value in getattr(standing, name)})
        new.update({f"{name}.{key}": value for key, value in getattr(config, name)})
    return [f"{key} {old[key]!r} there, {new[key]!r} now" for key in old if old[key] != new[key]]


def _listing_digest(found: Catalogue, config: Config) -> str:
    """Digest the listing and all settings that decide what becomes of it."""
    settings = {
        "schema": schema.SCHEMA_VERSION,
        "root": found.root,
        "seed": config.seed,
        "pixels": config.pixels.model_dump(),
        "splits": config.splits.model_dump(),
        "preprocess": config.preprocess.model_dump(exclude={"max_reject_fraction", "read_threads"}),
        "unusable": found.unusable,
    }
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8)
    for column in found.entries.columns:
        for chunk in column.chunks:
            digest.update(json.dumps(chunk.to_pylist()).encode())
    return digest.hexdigest()


def _plan_work(found: Catalogue, config: Config, staging: str, cores: int) -> tuple[Work, int]:
    """Cut the catalogue into blocks and write them down; return the work and their number."""
    work = Work(
        root=found.root,
        plan=storage.join(staging, "plan.parquet"),
        parts=storage.join(staging, "parts"),
        pixels=PixelSpec(**config.pixels.model_dump()),
        read_threads=config.preprocess.read_threads,
    )
    if not storage.exists(work.plan):
        block = -(-found.entries.num_rows // (cores * _BLOCKS_PER_CORE))
        block = max(_MIN_BLOCK, min(_MAX_BLOCK, block))
        storage.write_table(work.plan, found.entries, rows_per_group=block)
    # A plan from before a kill stands, whatever the number of cores was then.
    return work, storage.num_row_groups(work.plan)


def _decode(spark: SparkSession, work: Work, num_blocks: int, num_images: int) -> None:
    tasks.run(
        spark,
        partial(ingest.stage_block, work),
        num_blocks,
        slices=num_blocks,
        what="decode",
        total=num_images,
        unit="images",
    )


def _compare(spark: SparkSession, groups: list[list[str]]) -> dict[str, str]:
    """Read look-alikes once more and digest all their bytes."""
    digests = tasks.run(
        spark,
        partial(ingest.full_digests, groups),
        len(groups),
        slices=_BLOCKS_PER_CORE * num_cores(spark),
        what="compare",
        total=sum(map(len, groups)),
        unit="look-alikes",
    )
    return {
        key: full for keys, of_group in zip(groups, digests) for key, full in zip(keys, of_group)
    }


def _write(
    spark: SparkSession,
    config: Config,
    found: Catalogue,
    outcome: Outcome,
    dataset: str,
    listing: str,
) -> Manifest:
    """Write shards, rejects and duplicates; return the manifest that names them."""
    labels = outcome.labels
    planned = _plan_shards(config, outcome, listing)
    writer = shards.Writer(dataset, found.root, labels)
    written = tasks.run(
        spark,
        partial(_write_shard, writer, planned),
        len(planned),
        slices=_BLOCKS_PER_CORE * num_cores(spark),
        what="write",
        total=len(planned),
        unit="shards",
    )
    files = [
        ShardFile(path=shard.path, split=shard.split, rows=rows, size_bytes=size, digest=digest)
        for shard, (rows, size, digest) in zip(planned, written)
    ]
    sides = {}
    for name, table in (("rejects", outcome.rejects), ("duplicates", outcome.duplicates)):
        sides[name] = [f"{name}/{listing}-00000.parquet"] if table.num_rows else []
        for path in sides[name]:
            storage.write_table(storage.join(dataset, path), table)
    return Manifest(
        schema_version=schema.SCHEMA_VERSION,
        halftone_version=halftone.__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seed=config.seed,
        pixels=config.pixels,
        splits=config.splits,
        preprocess=config.preprocess,
        images=found.root,
        labels=labels,
        inputs=found.inputs,
        rows=sum(file.rows for file in files),
        rejects=outcome.rejects.num_rows,
        duplicates=outcome.duplicates.num_rows,
        ignored=found.ignored,
        rejects_by_reason=outcome.rejects_by_reason(),
        counts=outcome.counts,
        listing=listing,
        fingerprint=_fingerprint(config, labels, files),
        files=files,
        rejects_files=sides["rejects"],
        duplicates_files=sides["duplicates"],
    )


def _plan_shards(config: Config, outcome: Outcome, listing: str) -> list[Shard]:
    pixels = config.pixels
    rows = {split: sum(outcome.counts[split].values()) for split in SPLITS}
    sizes = {
        split: shards.rows_per_shard(
            config.preprocess.rows_per_shard,
            pixels.height_px * pixels.width_px * pixels.channels,
            rows[split],
            config.preprocess.min_shards,
        )
        for split in SPLITS
    }
    return shards.plan(outcome.kept, sizes, listing)


def _write_shard(writer: shards.Writer, planned: list[Shard], number: int) -> shards.Written:
    return writer.write(planned[number])


def _fingerprint(config: Config, labels: list[str], files: Iterable[ShardFile]) -> str:
    """Digest what the rows are and their order; where the dataset lies does not matter."""
    pixels = config.pixels
    shape = [pixels.height_px, pixels.width_px, pixels.channels]
    rows = [[file.split, file.rows, file.digest] for file in files]
    text = json.dumps([schema.SCHEMA_VERSION, shape, labels, rows])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _tidy(dataset: str, made: Manifest) -> None:
    """Remove what no reader will open: staged parts, and shards that the manifest does not name."""
    storage.remove(storage.join(dataset, _STAGING))
    named: dict[str, None] = dict.fromkeys(
        [file.path for file in made.files] + made.rejects_files + made.duplicates_files
    )
    for folder in (*SPLITS, "rejects", "duplicates"):
        for name in storage.list_names(storage.join(dataset, folder)):
            if f"{folder}/{name}" not in named:
                storage.remove(storage.join(dataset, folder, name))
