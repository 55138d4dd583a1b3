"""Tell files that systems, tools and Halftone itself store from images with the same endings.

They are told by what they are, never by a first letter: cameras and people name images and folders
with a leading underscore or dot too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Callable, Optional

from halftone.dataset.manifest import CONTACT_SHEETS

# What macOS stores beside a file that lies on another system's disk.
APPLE_DOUBLE = "AppleDouble"
APPLE_DOUBLE_PREFIX = "._"
APPLE_DOUBLE_MAGIC = b"\x00\x05\x16\x07"
_FOLDER_MARKER = "folder marker"  # an object that a store's console shows as an empty folder

# Folders in which systems and tools keep copies of files, previews and deleted files.
_FOLDERS = re.compile(
    r"__MACOSX|@eaDir|#recycle|\$RECYCLE\.BIN|System Volume Information|\.Trash(?:es|-\d+)?"
    r"|\.thumbnails|\.snapshots?|\.zfs|\.ipynb_checkpoints|\.git|_temporary"
)
# Files by which Spark, Databricks and Hadoop mark what a job has written, and folders of a store.
_JOB_MARKER = re.compile(r"_SUCCESS|_(?:started|committed)_\d+")
_HADOOP_FOLDER_ENDING = "_$folder$"
# Files of Halftone: a half-written file, and the pictures in datasets and models.
_TEMPORARY_NAME = re.compile(r"\.tmp-[0-9a-f]{16}-.*", re.DOTALL)
_CONTACT_SHEET = re.compile(rf"(?:.*/)?{CONTACT_SHEETS}/[0-9a-f]{{16}}\.png", re.DOTALL)
_CURVES, _HISTORY = "curves.png", "history.json"


def describe_stored_file(
    path: str, size_bytes: int, is_listed: Callable[[str], bool]
) -> Optional[str]:
    """Return what the file is if it is no image whatever its ending; None if it may be one.

    Args:
        path: below the listed folder.
        is_listed: returns whether there is a file with a path below that folder.
    """
    folder, slash, name = path.rpartition("/")
    if (not name and not size_bytes) or name.endswith(_HADOOP_FOLDER_ENDING):
        return _FOLDER_MARKER
    if _tool_folder(folder):
        return _tool_folder(folder)
    if name.startswith(APPLE_DOUBLE_PREFIX) and is_listed(f"{folder}{slash}{name[2:]}"):
        return APPLE_DOUBLE
    if _JOB_MARKER.fullmatch(name):
        return "job marker"
    if _TEMPORARY_NAME.fullmatch(name):
        return "half-written file"
    if _CONTACT_SHEET.fullmatch(path):
        return "contact sheet"
    if name == _CURVES and is_listed(f"{folder}{slash}{_HISTORY}"):
        return "training curves"
    return None


def find_companion(path: str) -> Optional[str]:
    """Return the path whose existence decides what a file is; None if no other file matters."""
    folder, slash, name = path.rpartition("/")
    if name.startswith(APPLE_DOUBLE_PREFIX):
        return None if _tool_folder(folder) else f"{folder}{slash}{name[2:]}"
    if name == _CURVES:
        return None if _tool_folder(folder) else f"{folder}{slash}{_HISTORY}"
    return None


@lru_cache  # many files follow each other in one folder
def _tool_folder(folder: str) -> Optional[str]:
    """Return the part of a path that is a folder of a system or tool, with a slash."""
    return next((f"{part}/" for part in folder.split("/") if _FOLDERS.fullmatch(part)), None)
