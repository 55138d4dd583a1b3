"""The file export.json, which is written last and so marks a complete export.

It holds the settings that decide what the files of an export are. An output never changes from one
export to another: what was copied from it would then fit to no export.json.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from typing import Any

import halftone
from halftone import config, storage
from halftone.errors import InputError
from halftone.export.flags import TFRECORD
from halftone.locking.lock import LOCK_FOLDER

EXPORT_FILE = "export.json"
# Keys of the settings of all formats; an export has some of them.
_SETTINGS = ("fingerprint", "compression", "encoding", "model_version", "quantise")


def read_previous_export(
    output: str, settings: Mapping[str, Any], parts: Collection[str]
) -> dict[str, Any]:
    """Return the export.json at `output`; {} if there is no export or only a part of one.

    Args:
        output: URL of a folder.
        settings: `schema`, `format` and other keys that decide what the files of the export are.
        parts: names that a killed export of this format may have left.

    Raises:
        InputError: `output` contains another export, or something else.
    """
    names = storage.list_names(output)
    if EXPORT_FILE in names:
        return _read_same_export(output, settings)
    others = [name for name in names if name not in (*parts, LOCK_FOLDER)]
    if others:
        raise InputError(
            f"{output}: exists and is not an export (it contains {', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}); give another --output"
        )
    return {}


def _read_same_export(output: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    url = storage.join(output, EXPORT_FILE)
    try:
        export_info = dict(storage.read_json(url))
        previous = {
            "schema": export_info["schema"],
            "format": export_info.get("format", TFRECORD),
            **{key: export_info[key] for key in _SETTINGS if key in export_info},
        }
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{url}: not the export.json of an export; give another --output"
        ) from None
    changes = config.diff_settings(previous, settings)
    # The other settings of another format say nothing.
    of_format = [change for change in changes if change[0] == "format"]
    if changes:
        differing = "; ".join(
            f"{k} {old!r} there, {new!r} now" for k, old, new in of_format or changes
        )
        raise InputError(
            f"{output}: contains another export, which is not overwritten: {differing}. Give "
            "another --output, or remove it"
        )
    return export_info


def describe_origin() -> dict[str, Any]:
    """Return the keys of export.json that say what wrote it, and when."""
    return {
        "halftone_version": halftone.__version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
