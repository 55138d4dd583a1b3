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
from typing import Callable, NamedTuple, Optional

import pyarrow as pa
from pyspark.sql import SparkSession

import halftone
from halftone import (
    catalogue,
    columns,
    incremental,
    ingest,
    manifest,
    schema,
    shards,
    sheets,
    standing,
    storage,
    tasks,
)
from halftone.catalogue import Catalogue
from halftone.config import Config
from halftone.copies import Evidence, look_alikes
from halftone.errors import InputError
from halftone.images import PixelSpec
from halftone.incremental import Delta, Known, Listed
from halftone.ingest import Work
from halftone.manifest import (
    CONTACT_SHEETS,
    DUPLICATES,
    NEAR_DUPLICATES,
    REJECTS,
    Manifest,
    ShardFile,
)
from halftone.outcome import Outcome, judge
from halftone.session import num_cores
from halftone.shards import Shard
from halftone.splits import SPLITS, TRAIN

# A name that begins with an underscore is no data to Spark, to Petastorm or to our own listing.
_STAGING = "_staging"
# A task takes several blocks: starting one costs what decoding fifty photographs does. A slow one
# at the end should still leave no core idle for long.
_TASKS_PER_CORE = 4
_WRITE_TASKS_PER_CORE = 2  # shards are of one size
_BLOCKS_PER_CORE = 16
_MIN_BLOCK, _MAX_BLOCK = 32, 2000


class Made(NamedTuple):
    """What a run of preprocess ends with."""

    manifest: Manifest
    num_read: int  # images that were read; 0 where there was nothing to do


def preprocess(
    config: Config,
    images: str,
    dataset: str,
    session: Callable[[], SparkSession],
    *,
    retry_rejects: bool = False,
    prune: bool = False,
) -> Made:
    """Make the dataset at `dataset` from the images below `images`, or bring it up to date.

    Args:
        session: gives the SparkSession; called only where there is work for it.
        retry_rejects: read the rejected images again, and no others.
        prune: forget images that are no longer there. Without it what is known is kept.

    Raises:
        InputError: the input, the output's folder or the share of rejects is not acceptable.
    """
    images, dataset = storage.normalise(images), storage.normalise(dataset)
    last = _last_version(dataset, config)
    found = catalogue.build(images, config, needs_classes=last is None)
    before = standing.EMPTY if last is None else standing.read(dataset, last)
    known = standing.known(before)
    unusable = {storage.join(images, image.path) for image in found.unusable}
    delta = incremental.compare(
        _listed(found),
        {key: image for key, image in known.items() if key not in unusable},
        retry_rejects=retry_rejects,
        prune=prune,
    )
    if last is not None and delta.is_empty and unusable <= known.keys():
        storage.remove(storage.join(dataset, _STAGING))
        manifest.tidy(dataset, last)
        return Made(last, 0)
    made = _make(config, dataset, session(), found, known, delta, before, last)
    manifest.publish(dataset, made)
    storage.remove(storage.join(dataset, _STAGING))
    manifest.tidy(dataset, made)
    return Made(made, len(delta.read))


def _make(
    config: Config,
    dataset: str,
    spark: SparkSession,
    found: Catalogue,
    known: dict[str, Known],
    delta: Delta,
    before: standing.Standing,
    last: Optional[Manifest],
) -> Manifest:
    """Decode what is to be read, judge it with what stands, and write; nothing is published yet."""
    keys = [storage.join(found.root, path) for path in found.entries["path"].to_pylist()]
    wanted = [number for number, key in enumerate(keys) if key in delta.read]
    entries = columns.take(found.entries, wanted)
    run = _run_name(found, entries, delta, config, last)
    work, num_blocks = _plan_work(found.root, entries, config, dataset, run, num_cores(spark))
    _decode(spark, work, num_blocks, entries.num_rows)
    labels = last.labels if last else []
    evidence = Evidence(before, labels, delta, ingest.metadata(work, num_blocks))
    full_digests = _compare(spark, look_alikes(evidence))
    unusable = {storage.join(found.root, image.path) for image in found.unusable}
    inputs = (known.keys() - delta.forget) | delta.read | unusable
    outcome = judge(found, evidence, full_digests, len(inputs), config.preprocess)
    files = _write_shards(spark, config, found.root, outcome, dataset, run)
    sides = _write_sides(outcome, dataset, run)
    sheet = f"{CONTACT_SHEETS}/{run}.png"
    storage.write_bytes(storage.join(dataset, sheet), _sheet(dataset, config, outcome, files))
    return Manifest(
        schema_version=schema.SCHEMA_VERSION,
        halftone_version=halftone.__version__,
        version=last.version + 1 if last else 1,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seed=config.seed,
        pixels=config.pixels,
        splits=config.splits,
        preprocess=config.preprocess,
        images=found.root,
        labels=outcome.labels,
        inputs=outcome.inputs,
        rows=sum(file.rows for file in files),
        rejects=outcome.rejects.num_rows,
        duplicates=outcome.duplicates.num_rows,
        gone=len(delta.gone),
        ignored=found.ignored,
        rejects_by_reason=outcome.rejects_by_reason(),
        counts=outcome.counts,
        fingerprint=_fingerprint(config, outcome.labels, files),
        files=files,
        rejects_files=sides[REJECTS],
        duplicates_files=sides[DUPLICATES],
        near_duplicates=outcome.near.num_rows,
        near_duplicates_files=sides[NEAR_DUPLICATES],
        contact_sheet=sheet,
    )


def _listed(found: Catalogue) -> dict[str, Listed]:
    names = ("path", "size_bytes", "modified")
    rows = zip(*(found.entries[name].to_pylist() for name in names))
    return {storage.join(found.root, path): Listed(size, time) for path, size, time in rows}


def _last_version(dataset: str, config: Config) -> Optional[Manifest]:
    """Return the manifest of the dataset that stands at `dataset`, None where nothing does."""
    if storage.exists(storage.join(dataset, manifest.NAME)):
        last = manifest.read(dataset)
        differing = _differing(last, config)
        if differing:
            raise InputError(
                f"{dataset}: the dataset there was made with other settings, and is left alone: "
                f"{'; '.join(differing)}. Give another --output, or remove the old dataset"
            )
        return last
    held = storage.list_names(dataset)
    if held and _STAGING not in held:
        raise InputError(
            f"{dataset}: exists and is not a dataset (it holds {', '.join(held[:3])}"
            f"{', ...' if len(held) > 3 else ''} and no {manifest.NAME}); give another --output"
        )
    return None


def _differing(last: Manifest, config: Config) -> list[str]:
    """Name the settings that all rows of a dataset have in common, where they differ."""
    old: dict[str, object] = {"seed": last.seed}
    new: dict[str, object] = {"seed": config.seed}
    for name in ("pixels", "splits"):
        old.update({f"{name}.{key}": value for key, value in getattr(last, name)})
        new.update({f"{name}.{key}": value for key, value in getattr(config, name)})
    old["preprocess.label_from"] = last.preprocess.label_from
    new["preprocess.label_from"] = config.preprocess.label_from
    return [f"{key} {old[key]!r} there, {new[key]!r} now" for key in old if old[key] != new[key]]


def _run_name(
    found: Catalogue, entries: pa.Table, delta: Delta, config: Config, last: Optional[Manifest]
) -> str:
    """Digest all that decides what this run writes: its files can then have its name."""
    settings = {
        "schema": schema.SCHEMA_VERSION,
        "root": found.root,
        "seed": config.seed,
        "pixels": config.pixels.model_dump(),
        "splits": config.splits.model_dump(),
        "preprocess": config.preprocess.model_dump(exclude={"max_reject_fraction", "read_threads"}),
        "unusable": found.unusable,
        "forget": sorted(delta.forget),
        "last": (last.version, last.fingerprint) if last else None,
    }
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8)
    for column in entries.columns:
        digest.update(json.dumps(column.to_pylist()).encode())
    return digest.hexdigest()


def _plan_work(
    root: str, entries: pa.Table, config: Config, dataset: str, run: str, cores: int
) -> tuple[Work, int]:
    """Cut what is to be read into blocks and write them down; return the work and their number."""
    staging = storage.join(dataset, _STAGING, run)
    work = Work(
        root=root,
        plan=storage.join(staging, "plan.parquet"),
        parts=storage.join(staging, "parts"),
        pixels=PixelSpec(**config.pixels.model_dump()),
        read_threads=config.preprocess.read_threads,
    )
    if not entries.num_rows:
        return work, 0
    if not storage.exists(work.plan):
        block = -(-entries.num_rows // (cores * _BLOCKS_PER_CORE))
        block = max(_MIN_BLOCK, min(_MAX_BLOCK, block))
        storage.write_table(work.plan, entries, rows_per_group=block)
    # A plan from before a kill stands, whatever the number of cores was then.
    return work, storage.num_row_groups(work.plan)


def _decode(spark: SparkSession, work: Work, num_blocks: int, num_images: int) -> None:
    tasks.run(
        spark,
        partial(ingest.stage_block, work),
        num_blocks,
        slices=_TASKS_PER_CORE * num_cores(spark),
        what="decode",
        total=num_images,
        unit="images",
        done=lambda: num_images * len(storage.list_names(work.parts)) // num_blocks,
    )


def _compare(spark: SparkSession, groups: list[list[str]]) -> dict[str, str]:
    """Read look-alikes once more and digest all their bytes."""
    digests = tasks.run(
        spark,
        partial(ingest.full_digests, groups),
        len(groups),
        slices=_TASKS_PER_CORE * num_cores(spark),
        what="compare",
        total=sum(map(len, groups)),
        unit="look-alikes",
    )
    return {
        key: full for keys, of_group in zip(groups, digests) for key, full in zip(keys, of_group)
    }


def _write_shards(
    spark: SparkSession, config: Config, images: str, outcome: Outcome, dataset: str, run: str
) -> list[ShardFile]:
    """Write the shards that do not stand yet; return all, a split after another."""
    stand, planned = shards.plan(outcome.kept, _shard_sizes(config, outcome), run)
    writer = shards.Writer(dataset, images, outcome.labels)
    written = tasks.run(
        spark,
        partial(_write_shard, writer, planned),
        len(planned),
        slices=_WRITE_TASKS_PER_CORE * num_cores(spark),
        what="write",
        total=len(planned),
        unit="shards",
    )
    new = [
        ShardFile(path=shard.path, split=shard.split, rows=rows, size_bytes=size, digest=digest)
        for shard, (rows, size, digest) in zip(planned, written)
    ]
    return sorted([*stand, *new], key=lambda file: SPLITS.index(file.split))


def _write_sides(outcome: Outcome, dataset: str, run: str) -> dict[str, list[str]]:
    """Write the rejects and all kinds of duplicates, where there are any."""
    tables = {
        REJECTS: outcome.rejects,
        DUPLICATES: outcome.duplicates,
        NEAR_DUPLICATES: outcome.near,
    }
    sides = {}
    for name, table in tables.items():
        sides[name] = [f"{name}/{run}-00000.parquet"] if table.num_rows else []
        for path in sides[name]:
            storage.write_table(storage.join(dataset, path), table)
    return sides


def _sheet(dataset: str, config: Config, outcome: Outcome, files: list[ShardFile]) -> bytes:
    pixels = config.pixels
    return sheets.of_dataset(
        [storage.join(dataset, file.path) for file in files if file.split == TRAIN],
        (pixels.height_px, pixels.width_px, pixels.channels),
        outcome.counts[TRAIN],
        outcome.rejects,
        PixelSpec(**pixels.model_dump()),
    )


def _shard_sizes(config: Config, outcome: Outcome) -> dict[str, int]:
    pixels, settings = config.pixels, config.preprocess
    row_bytes = pixels.height_px * pixels.width_px * pixels.channels
    sizes = {}
    for split in SPLITS:
        rows = sum(outcome.counts[split].values())
        wanted = shards.rows_per_shard(
            settings.rows_per_shard, row_bytes, rows, settings.min_shards
        )
        is_auto = settings.rows_per_shard == "auto"
        sizes[split] = shards.settled(outcome.kept, split, wanted) if is_auto else wanted
    return sizes


def _write_shard(writer: shards.Writer, planned: list[Shard], number: int) -> shards.Written:
    return writer.write(planned[number])


def _fingerprint(config: Config, labels: list[str], files: Iterable[ShardFile]) -> str:
    """Digest what the rows are and their order; where the dataset lies does not matter."""
    pixels = config.pixels
    shape = [pixels.height_px, pixels.width_px, pixels.channels]
    rows = [[file.split, file.rows, file.digest] for file in files]
    text = json.dumps([schema.SCHEMA_VERSION, shape, labels, rows])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
