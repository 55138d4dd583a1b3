"""The description file of a sample: `sample.json`, written when all pictures are drawn."""

from __future__ import annotations

from halftone import storage
from halftone.storage.urls import ALL_HOSTS

DESCRIPTION_FILE = "sample.json"


def read_sample_description(folder: str) -> str:
    """Return the description in `folder`/sample.json, or "" if the folder holds no valid one.

    Args:
        folder: local folder of images, or its URL.
    """
    if folder.startswith(ALL_HOSTS):  # a request that no list of URLs asks for
        return ""
    try:
        description = storage.read_json(storage.join(folder, DESCRIPTION_FILE))
        return str(description["what"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""
