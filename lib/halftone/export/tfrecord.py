"""A dataset as TFRecord files, for those who train where only tf.data can read, as on a TPU.

export.json                             names the files that count, and is written last
records/RUN/SPLIT-00003-of-00012.tfrecord    a tf.train.Example a row, a file for each shard
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any, Callable

from pyspark.sql import SparkSession

import halftone
from halftone import config, storage, summary
from halftone.dataset import manifest
from halftone.dataset.manifest import Manifest, ShardFile
from halftone.errors import InputError, RunError
from halftone.export.tfrecord_shard import FEATURES, ExportSettings, write_shard
from halftone.spark import tasks
from halftone.spark.session import num_cores

EXPORT_FILE, RECORDS_FOLDER = "export.json", "records"
# Raised when a reader of the older version would misread what the newer one writes.
_SCHEMA_VERSION = 1
_TASKS_PER_CORE = 2  # shards are of one size


def export_dataset(
    dataset: str, output: str, compression: str, session: Callable[[], SparkSession]
) -> dict[str, Any]:
    """Write all rows of a dataset as TFRecord; return what export.json at `output` holds.

    Files that an earlier call for the same dataset has written are kept, also where it was killed.

    Args:
        compression: GZIP, or an empty text for none.
        session: gives the SparkSession; called only where there is work for it.

    Raises:
        InputError: there is no dataset, or something else is at `output`.
        RunError: a row got lost on the way, which must never be.
    """
    dataset, output = map(storage.normalise_url, (dataset, output))
    data = manifest.read_manifest(dataset)
    decides = {
        "schema": _SCHEMA_VERSION,
        "fingerprint": data.fingerprint,
        "compression": compression,
    }
    standing = _read_previous_export(output, decides)
    digest = hashlib.blake2b(json.dumps(decides).encode(), digest_size=8)
    folder = storage.join(RECORDS_FOLDER, digest.hexdigest())
    files = _record_files(data, folder, compression)
    there = set(storage.list_names(storage.join(output, folder)))
    missing = [
        (shard, storage.join(output, file))
        for shard, file in zip(data.files, files)
        if file.rpartition("/")[2] not in there
    ]
    if missing:
        _write_records(dataset, ExportSettings(data.shape(), compression), missing, session())
    elif standing:
        return standing
    made = {**decides, **_describe_export(data, files)}
    storage.write_json(storage.join(output, EXPORT_FILE), made)
    for run in storage.list_names(storage.join(output, RECORDS_FOLDER)):
        if storage.join(RECORDS_FOLDER, run) != folder:  # of a call that was killed
            storage.remove(storage.join(output, RECORDS_FOLDER, run))
    return made


def _describe_export(data: Manifest, files: Sequence[str]) -> dict[str, Any]:
    """What a reader has to know."""
    return {
        "halftone_version": halftone.__version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "features": FEATURES,
        "labels": data.labels,
        "shape": list(data.shape()),
        "rows": data.rows,
        "counts": data.counts,
        "shards": [
            {"path": file, "split": shard.split, "rows": shard.rows}
            for shard, file in zip(data.files, files)
        ],
    }


def format_summary(export_info: dict[str, Any], output: str) -> str:
    """What the job prints at its end."""
    rows = [
        [split, *(f"{count:,}" for count in counts.values()), f"{sum(counts.values()):,}"]
        for split, counts in export_info["counts"].items()
    ]
    lines = [summary.format_table(["split", *export_info["labels"], "rows"], rows), ""]
    packed = f", {export_info['compression']}" if export_info["compression"] else ""
    lines.append(
        f"{export_info['rows']:,} rows in {len(export_info['shards']):,} TFRecord files{packed}"
    )
    lines.append(f"fingerprint {export_info['fingerprint']}, written {export_info['created']}")
    return "\n".join([*lines, f"export: {storage.normalise_url(output)}"])


def _read_previous_export(output: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The export at `output`; an empty dict where there is none, or only a part of one."""
    held = storage.list_names(output)
    if EXPORT_FILE in held:
        url = storage.join(output, EXPORT_FILE)
        try:
            found = storage.read_json(url)
            there = {key: found[key] for key in settings}
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{url}: not an export's; give another --output") from None
        changes = [
            f"{key} {old!r} there, {new!r} now"
            for key, old, new in config.diff_settings(there, settings)
        ]
        if changes:
            raise InputError(
                f"{output}: another export is there, and is left alone: {'; '.join(changes)}. "
                "Give another --output, or remove it"
            )
        return dict(found)
    others = [name for name in held if name != RECORDS_FOLDER]
    if others:
        raise InputError(
            f"{output}: exists and holds no export (it holds {', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}); give another --output"
        )
    return {}


def _record_files(data: Manifest, folder: str, compression: str) -> list[str]:
    """Where each shard of the dataset goes, below the output."""
    ending = ".tfrecord.gz" if compression else ".tfrecord"
    counts = Counter(shard.split for shard in data.files)
    numbers = {split: itertools.count() for split in counts}
    return [
        storage.join(
            folder,
            f"{shard.split}-{next(numbers[shard.split]):05d}-of-{counts[shard.split]:05d}{ending}",
        )
        for shard in data.files
    ]


def _write_records(
    dataset: str,
    settings: ExportSettings,
    missing_shards: Sequence[tuple[ShardFile, str]],
    spark: SparkSession,
) -> None:
    pairs = [(storage.join(dataset, shard.path), target) for shard, target in missing_shards]
    expected = sum(shard.rows for shard, _ in missing_shards)
    written = tasks.run_tasks(
        spark,
        partial(write_shard, settings, pairs),
        len(pairs),
        num_slices=_TASKS_PER_CORE * num_cores(spark),
        progress=tasks.TaskProgress("export", expected, "images"),
    )
    if sum(written) != expected:
        raise RunError(
            f"{sum(written)} rows were written, {dataset} has {expected}; nothing was published"
        )
