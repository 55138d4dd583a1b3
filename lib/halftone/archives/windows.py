"""Read an archive as one stream of large requests, which skips what is larger than a window."""

from __future__ import annotations

from halftone import storage
from halftone.archives.member import ArchiveFile

_LOCAL_WINDOW_BYTES, _REMOTE_WINDOW_BYTES = 2**18, 2**23


def open_windowed(archive: ArchiveFile) -> storage.WindowedFile:
    is_local = storage.is_local(archive.url)
    window_bytes = _LOCAL_WINDOW_BYTES if is_local else _REMOTE_WINDOW_BYTES
    return storage.WindowedFile(archive.url, archive.size_bytes, window_bytes)
