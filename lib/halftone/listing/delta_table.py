"""A table of images as a Delta table: the Parquet files that its log names."""

from __future__ import annotations

from halftone import delta_log, storage
from halftone.errors import InputError
from halftone.listing.listed_rows import TABLE_COLUMNS
from halftone.url_schemes import DELTA_PREFIX


def table_url(given: str) -> str:
    """Return the canonical URL of a table of images, which may be given as delta:// and its folder.

    Raises:
        InputError: it is given as delta:// and is no Delta table; or as normalise_url.
    """
    url = storage.normalise_url(given)
    if given.startswith(DELTA_PREFIX) and not delta_log.has_log(url):
        raise InputError(
            f"{given}: there is no Delta table (no {delta_log.LOG_FOLDER}); correct the URL of its "
            "folder, or leave delta:// out if it is a table of another format"
        )
    return url


def find_delta_files(url: str) -> list[tuple[str, int]]:
    """Return the URLs and sizes of the files of the newest version of a Delta table.

    Raises:
        InputError: the log is damaged, the table is empty, has a feature that readers must know, or
            has a column of a table of images, such as `label`, in its log only.
    """
    snapshot = delta_log.read_snapshot(url)
    if snapshot is None:
        raise InputError(f"{url}: is a Delta table whose log has no version")
    in_log = [name for name in snapshot.partition_columns if name.lower() in {*TABLE_COLUMNS.names}]
    if in_log:
        raise InputError(
            f"{url}: is a Delta table that is partitioned by {in_log[0]}, so its files do not have "
            "that column; write it without that partition"
        )
    if not snapshot.files:
        raise InputError(f"{url}: the Delta table has no rows in version {snapshot.version}")
    for path in snapshot.files:
        if path.startswith("/") or "://" in path:
            raise InputError(
                f"{url}: is a Delta table with files of another folder, such as {path} (a shallow "
                "clone); give the table that it was cloned from, or a deep clone"
            )
    return [(storage.join(url, path), file.size_bytes) for path, file in snapshot.files.items()]
