"""Paths and keys of members."""

from __future__ import annotations

from typing import Optional

from halftone.archives.format_names import name_format

SEPARATOR = "!"


def member_path(archive_path: str, name: str) -> str:
    """Return the path or key of a member."""
    return f"{archive_path}{SEPARATOR}{name}"


def split_member_path(path: str) -> Optional[tuple[str, str]]:
    """Return the path of the archive and the name of the member; None if it is that of a file.

    It is a member's if an exclamation mark follows the name of an archive; the first one counts. A
    folder may have such a name too, see `reading.read_images`.
    """
    position = path.find(SEPARATOR)
    while position >= 0:
        if name_format(path[:position]) and position + 1 < len(path):
            return path[:position], path[position + 1 :]
        position = path.find(SEPARATOR, position + 1)
    return None
