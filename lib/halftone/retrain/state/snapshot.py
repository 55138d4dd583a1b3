"""Snapshots of a dataset: a run trains and scores on one, so later versions cannot affect it.

A snapshot is a complete dataset in its own folder. On a local disk its files are hard links, which
take no space while the dataset still has the files; on other stores they are copies.
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
    """Return the URL of the snapshot of a version.

    It contains the fingerprint, because version numbers repeat if a dataset is created again.
    """
    return storage.join(root, DATASETS, f"{data.version:06d}-{data.fingerprint[:8]}")


def take_snapshot(dataset: str, data: Manifest, root: str) -> str:
    """Create a snapshot of a version below `root`; return its URL.

    The manifest is written last. A complete snapshot is not written again.

    Args:
        dataset: URL of the dataset.
        data: manifest of the version.
        root: retrain.folder.
    """
    target = snapshot_url(root, data)
    if storage.exists(storage.join(target, manifest.MANIFEST_NAME)):
        return target
    paths = [
        *(file.path for file in manifest.read_shards(dataset, data)),
        *(*data.rejects_files, *data.duplicates_files, *data.near_duplicates_files),
    ]
    if data.files_table is not None:
        paths.append(data.files_table)
    if storage.exists(storage.join(dataset, data.contact_sheet)):  # optional
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
            # Published files are never modified, so a hard link is as good as a copy.
            os.link(source, target)
            return
        except FileExistsError:
            return
        except OSError:  # another file system, or one without hard links
            pass
    storage.write_bytes(target, storage.read_bytes(source))
