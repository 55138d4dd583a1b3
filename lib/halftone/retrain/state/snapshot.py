"""A version of a dataset that stays: what a night trains and scores on, whatever comes after.

It is a dataset like any other, in a folder of its own. On a local disk its files are further names
of the same files, which take no room until the dataset's next version leaves them out; on another
store they are copies.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from halftone import storage
from halftone.dataset import manifest
from halftone.dataset.manifest import Manifest

DATASETS = "datasets"
_COPY_THREADS = 8


def snapshot_url(root: str, data: Manifest) -> str:
    """Where a version is kept: a dataset that was made anew may have the same number."""
    return storage.join(root, DATASETS, f"{data.version:06d}-{data.fingerprint[:8]}")


def take_snapshot(dataset: str, data: Manifest, root: str) -> str:
    """Keep version `data` of the dataset at `dataset` below `root`; return the URL of the copy.

    Its manifest is written last. A copy that is there is kept.
    """
    target = snapshot_url(root, data)
    if storage.exists(storage.join(target, manifest.MANIFEST_NAME)):
        return target
    paths = [
        *(file.path for file in data.files),
        *(*data.rejects_files, *data.duplicates_files, *data.near_duplicates_files),
    ]
    if storage.exists(storage.join(dataset, data.contact_sheet)):  # no more than a picture
        paths.append(data.contact_sheet)
    with ThreadPoolExecutor(_COPY_THREADS) as pool:
        pairs = [(storage.join(dataset, path), storage.join(target, path)) for path in paths]
        list(pool.map(lambda pair: _link_or_copy(*pair), pairs))
    manifest.publish_manifest(target, data)
    return target


def _link_or_copy(source: str, target: str) -> None:
    if storage.is_local(source) and storage.is_local(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            # What is published is never written to again: a name more is as good as a copy.
            os.link(source, target)
            return
        except FileExistsError:
            return
        except OSError:  # another file system, or one without links
            pass
    storage.write_bytes(target, storage.read_bytes(source))
