"""Plan a listing from notifications of the store, where a version knows all other images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from functools import partial
from itertools import islice
from typing import Callable, Optional

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.arrow.columns import SLICE_ROWS
from halftone.config import Config
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError
from halftone.listing import ListingPlan, plan_changed, plan_configured
from halftone.listing.changed_folder import ChangedFolder, KnownFile
from halftone.listing.notifications import read_notifications
from halftone.preprocess import previous_version, staging
from halftone.preprocess.previous_version import COLUMNS
from halftone.progress import log_notes
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import (
    URL,
    build_table,
    create_url_frame,
    group_rows,
    map_tables,
    partition_number,
)
from halftone.spark.local_frame import are_few

_FOLDER = "named"  # below the staging folder
_LINE_BYTES = 500  # a short notification
_PARTITION_ROWS = 100_000
_SECS_PER_DAY = 86400.0
_PATHS = pa.schema([pa.field(schema.PATH, pa.string())])  # "" is an object outside of the folder
_WRITTEN = pa.schema(
    [
        pa.field(URL, pa.string()),  # of a file of _PATHS; "" if nothing was written
        pa.field("num_named", pa.int64()),
        pa.field("num_outside", pa.int64()),  # notifications, also of the same object
    ]
)
_READ = ActionProgress("changes", "read the notifications")


def check_changes(url: str, images: str, config: Config, retry_rejects: bool) -> None:
    """Check that the images of a run may come from notifications.

    Raises:
        InputError: they may not.
    """
    if not storage.has_object_store(images):
        raise InputError(
            f"--changes {url}: the folder of images, {images}, is on no store that sends "
            "notifications (s3://, gs://, abfs://); leave --changes out"
        )
    if config.preprocess.catalogue is not None:
        raise InputError(
            "--changes and preprocess.catalogue exclude each other: both say what the images are"
        )
    if retry_rejects:
        raise InputError(
            "--changes and --retry-rejects exclude each other: the second reads no changed images"
        )


def why_list_fully(previous: Optional[Manifest], images: str, config: Config) -> str:
    """Return why the previous version does not tell what all other images are; "" if it does."""
    settings = config.preprocess
    if previous is None:
        return "there is no previous version"
    if previous.images != images:
        return f"the previous version was made from {previous.images}"
    if not previous.images_digest or not previous.listed:
        return "the previous version does not have all images of a listing"
    if (previous.preprocess.suffixes, previous.preprocess.catalogue) != (settings.suffixes, None):
        return "preprocess.suffixes or preprocess.catalogue has changed"
    if previous.archived:
        return f"{previous.archived:,} images are in archives, which notifications name as a whole"
    if settings.archives == "read":
        return "preprocess.archives is read, and notifications name archives as a whole"
    if previous.gone:
        return (
            f"the previous version keeps {previous.gone:,} images that no longer exist, and does "
            "not tell which (--prune removes them)"
        )
    age = datetime.now(timezone.utc) - datetime.fromisoformat(previous.listed)
    if age.total_seconds() >= settings.full_listing_days * _SECS_PER_DAY:
        days = f"preprocess.full_listing_days is {settings.full_listing_days:g}"
        return f"the last full listing was at {previous.listed}, and {days}"
    return ""


def plan_images(images: str, config: Config) -> ListingPlan:
    """Plan to list all images, and log what the user should know of it."""
    settings = config.preprocess
    plan = plan_configured(images, settings)
    log_notes(plan.notes)
    return plan


def time_of_listing(plan: ListingPlan, previous: Optional[Manifest]) -> str:
    """Return when the folder was last listed, UTC; "" if a table names the images."""
    if isinstance(plan.source, ChangedFolder):
        return previous.listed if previous else ""
    return "" if plan.table_url else datetime.now(timezone.utc).isoformat(timespec="seconds")


def plan_changes(
    session: Callable[[], SparkSession],
    images: str,
    dataset: str,
    config: Config,
    previous: Optional[Manifest],
) -> ListingPlan:
    """Plan to look at what the notifications at `paths.changes` name, or to list all images.

    All images are listed if there is a reason for it; it is logged. The result is the same.

    Args:
        session: returns the SparkSession.
        images: the folder of images.
        previous: of the dataset at `dataset`, whose lock is held.

    Raises:
        InputError: there are no notifications at the URL, or a line is none.
    """
    url = str(config.paths.changes)
    reason = why_list_fully(previous, images, config)
    if previous is None or reason:
        log_notes([f"a full listing instead of {url}: {reason}"])
        return plan_images(images, config)
    plan = _plan_named(session, url, previous, dataset, config)
    log_notes(plan.notes)
    return plan


def _plan_named(
    session: Callable[[], SparkSession], url: str, previous: Manifest, dataset: str, config: Config
) -> ListingPlan:
    """Plan to list the images that the previous version knows, but for those that are named."""
    folder = storage.join(dataset, staging.FOLDER, _FOLDER)
    storage.remove(folder)
    files = _find_files(url)
    num_lines = sum(size_bytes for _, size_bytes in files) // _LINE_BYTES
    frame = create_url_frame(None if are_few(num_lines) else session(), [url for url, _ in files])
    paths = map_tables(frame, partial(_read_paths, previous.images), _PATHS)
    groups = group_rows(paths, num_lines // _PARTITION_ROWS + 1, schema.PATH)
    rows = collect_rows(map_tables(groups, partial(_write_paths, folder), _WRITTEN), _READ)
    num_named, num_outside = (
        sum(getattr(row, name) for row in rows) for name in ("num_named", "num_outside")
    )
    note = f"{url}: names {num_named:,} objects below {previous.images}"
    if num_outside:
        note += f"; {num_outside:,} notifications of others are ignored"
    known = [
        KnownFile(file.url, [COLUMNS[file.kind][name] for name in _KNOWN_COLUMNS])
        for file in previous_version.list_files(dataset, previous)
    ]
    named = sorted(row.url for row in rows if row.url)
    plan = plan_changed(previous.images, config.preprocess.suffixes, known, named)
    return plan._replace(notes=(note,))


_KNOWN_COLUMNS = (schema.KEY, schema.SIZE_BYTES, schema.MODIFIED)


def _find_files(url: str) -> list[tuple[str, int]]:
    """Return the URLs of the files of notifications, and their sizes in bytes."""
    url = storage.normalise_url(url)
    size = storage.file_size(url)
    if size is not None:
        return [(url, size)]
    try:
        found = storage.list_files(url)
    except FileNotFoundError:
        raise InputError(f"{url}: no such file or folder; check --changes") from None
    return [
        (storage.join(url, file.path), file.size_bytes)
        for file in found
        if not file.path.endswith("/")
    ]


def _read_paths(root: str, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        for (url,) in arrow.iter_rows(table, URL):
            paths = (found.path_below(root) or "" for found in read_notifications(url))
            while some := list(islice(paths, SLICE_ROWS)):
                yield build_table([(path,) for path in some], _PATHS)


def _write_paths(folder: str, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Write the different paths of a partition into a file in `folder`; yield _WRITTEN.

    Args:
        tables: _PATHS, sorted, with all rows of each path.
    """
    paths: dict[str, None] = {}
    num_outside = 0
    for table in tables:
        found = table[schema.PATH].to_pylist()
        num_outside += found.count("")
        paths.update(dict.fromkeys(filter(None, found)))
    if not paths:
        yield build_table([("", 0, num_outside)], _WRITTEN)
        return
    url = storage.join(folder, f"part-{partition_number():06d}.parquet")
    storage.write_table(url, build_table([(path,) for path in paths], _PATHS))
    yield build_table([(url, len(paths), num_outside)], _WRITTEN)
