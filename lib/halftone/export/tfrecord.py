"""Export a dataset as TFRecord files, for training where only tf.data can read, such as on TPUs.

export.json                                  lists the files of the export; written last
records/RUN/SPLIT-00003-of-00012.tfrecord    one file per shard, one tf.train.Example per row
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Callable

from pyspark.sql import SparkSession

from halftone import storage, summary
from halftone.dataset import integrity, manifest
from halftone.dataset.manifest import Manifest
from halftone.dataset.shard_files import ShardFile
from halftone.errors import RunError
from halftone.export.export_file import EXPORT_FILE, describe_origin, read_previous_export
from halftone.export.flags import TFRECORD
from halftone.export.tfrecord_shard import (
    COUNT,
    FILES,
    ExportSettings,
    describe_features,
    write_shards,
)
from halftone.locking.output import hold_output
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, create_frame, map_tables
from halftone.spark.session import num_cores

RECORDS_FOLDER = "records"
# Increased when readers of the older version would misread the new one.
_SCHEMA_VERSION = 1
_TASKS_PER_CORE = 2  # few are enough because shards have equal sizes


def export_dataset(
    dataset: str, output: str, compression: str, session: Callable[[], SparkSession]
) -> dict[str, Any]:
    """Write all rows of a dataset as TFRecord; return the content of export.json at `output`.

    Files of an earlier call for the same dataset are kept, even if that call was killed.

    Args:
        dataset: URL of the dataset.
        output: URL of a folder; created if it does not exist.
        compression: "GZIP" or "".
        session: returns the SparkSession; called only if there are files to write.

    Raises:
        InputError: there is no dataset, `output` contains something else or cannot be written.
        LockHeldError: another process writes to the output.
        RunError: the number of written rows is wrong, which is a bug.
    """
    dataset, output = map(storage.normalise_url, (dataset, output))
    data = manifest.read_manifest(dataset)
    settings: dict[str, Any] = {
        "schema": _SCHEMA_VERSION,
        "fingerprint": data.fingerprint,
        "compression": compression,
    }
    if data.pixels.encoding != "raw":  # an older Halftone exported no other
        settings["encoding"] = data.pixels.encoding
    digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=8)
    settings["format"] = TFRECORD  # not in the digest: folders of an older Halftone keep their name
    previous_export = read_previous_export(output, settings, [RECORDS_FOLDER])
    folder = storage.join(RECORDS_FOLDER, digest.hexdigest())
    shards = manifest.read_shards(dataset, data)
    files = _record_files(shards, folder, compression)
    if previous_export and not _missing_records(shards, output, folder, files):
        return previous_export
    integrity.check_shards(dataset, data)
    with hold_output(output, "export") as lock:
        # Another process may have written since.
        read_previous_export(output, settings, [RECORDS_FOLDER])
        missing = _missing_records(shards, output, folder, files)
        if missing:
            _write_records(dataset, ExportSettings(data.pixels, compression), missing, session())
        export_info = {**settings, **_describe_export(data, shards, files)}
        lock.check()
        storage.write_json(storage.join(output, EXPORT_FILE), export_info)
        for run in storage.list_names(storage.join(output, RECORDS_FOLDER)):
            if storage.join(RECORDS_FOLDER, run) != folder:  # left by a killed call
                storage.remove(storage.join(output, RECORDS_FOLDER, run))
    return export_info


def _missing_records(
    shards: Sequence[ShardFile], output: str, folder: str, files: Sequence[str]
) -> list[tuple[ShardFile, str]]:
    """Return the shards whose TFRecord file does not exist, each with the URL of that file."""
    existing = set(storage.list_names(storage.join(output, folder)))
    return [
        (shard, storage.join(output, file))
        for shard, file in zip(shards, files)
        if file.rpartition("/")[2] not in existing
    ]


def _describe_export(
    data: Manifest, shards: Sequence[ShardFile], files: Sequence[str]
) -> dict[str, Any]:
    """Return the fields of export.json that readers need."""
    return {
        **describe_origin(),
        "features": describe_features(data.pixels),
        "labels": data.labels,
        "shape": list(data.shape()),
        "rows": data.rows,
        "counts": data.counts,
        "shards": [
            {"path": file, "split": shard.split, "rows": shard.rows}
            for shard, file in zip(shards, files)
        ],
    }


def format_summary(export_info: dict[str, Any], output: str) -> str:
    """Return the summary that the job prints at its end."""
    rows = [
        [split, *(f"{count:,}" for count in counts.values()), f"{sum(counts.values()):,}"]
        for split, counts in export_info["counts"].items()
    ]
    lines = [summary.format_table(["split", *export_info["labels"], "rows"], rows), ""]
    compression = f", {export_info['compression']}" if export_info["compression"] else ""
    num_files = len(export_info["shards"])
    lines.append(f"{export_info['rows']:,} rows in {num_files:,} TFRecord files{compression}")
    lines.append(f"fingerprint {export_info['fingerprint']}, written {export_info['created']}")
    return "\n".join([*lines, f"export: {storage.normalise_url(output)}"])


def _record_files(shards: Sequence[ShardFile], folder: str, compression: str) -> list[str]:
    """Return the path of each shard's TFRecord file, relative to the output."""
    extension = ".tfrecord.gz" if compression else ".tfrecord"
    counts = Counter(shard.split for shard in shards)
    numbers = {split: itertools.count() for split in counts}
    return [
        storage.join(
            folder,
            f"{shard.split}-{next(numbers[shard.split]):05d}-of-{counts[shard.split]:05d}"
            f"{extension}",
        )
        for shard in shards
    ]


def _write_records(
    dataset: str,
    settings: ExportSettings,
    missing_shards: Sequence[tuple[ShardFile, str]],
    spark: SparkSession,
) -> None:
    files = [(storage.join(dataset, shard.path), target) for shard, target in missing_shards]
    expected = sum(shard.rows for shard, _ in missing_shards)
    frame = create_frame(spark, build_table(files, FILES), _TASKS_PER_CORE * num_cores(spark))
    written = collect_rows(
        map_tables(frame, partial(write_shards, settings), COUNT),
        ActionProgress(
            "export", "write TFRecord files", expected, "images", _rows_counter(missing_shards)
        ),
    )
    num_written = sum(row.rows for row in written)
    if num_written != expected:
        raise RunError(
            f"{num_written} rows were written, but {dataset} has {expected}; nothing was published"
        )


def _rows_counter(missing_shards: Sequence[tuple[ShardFile, str]]) -> Callable[[], int]:
    """Return a function that counts the rows of those TFRecord files that exist."""
    folder = missing_shards[0][1].rpartition("/")[0]
    rows = {target.rpartition("/")[2]: shard.rows for shard, target in missing_shards}
    return lambda: sum(rows.get(name, 0) for name in storage.list_names(folder))
