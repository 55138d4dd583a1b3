"""Read images by their keys alone: files, and members of archives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Optional, Union

from halftone import storage
from halftone.archives.formats import find_format, list_members
from halftone.archives.member import ArchiveError, ArchiveFile, Member, MemberData
from halftone.archives.member_keys import SEPARATOR, split_member_path


def read_members(archive_url: str, places: Sequence[str]) -> list[MemberData]:
    """Read members of an archive whose places are known.

    Returns:
        For each the bytes of an image file, or an OSError that says why it cannot be read.
    """
    format_ = find_format(archive_url)
    assert format_ is not None, archive_url
    return format_.read_members(archive_url, places)


def read_images(keys: Sequence[str], max_bytes: Optional[int] = None) -> list[MemberData]:
    """Read files and members by their keys, as `storage.read_files` reads files.

    A key that looks like a member's is that of a file if there is such a file, below a folder such
    as `a.tar!b`; a listing refuses keys that are both. The members of an archive are looked up in
    it, which reads all headers of a tar archive once: read those of an archive in one call.

    Args:
        max_bytes: what is larger gives an OSError.
    """
    by_archive: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for number, key in enumerate(keys):
        parts = split_member_path(key) if SEPARATOR in key else None
        if parts is not None and storage.file_size(key) is None:
            by_archive[parts[0]][number] = parts[1]
    of_members = {number for names in by_archive.values() for number in names}
    files = [number for number in range(len(keys)) if number not in of_members]
    results: list[Union[bytes, OSError]] = [b""] * len(keys)
    if files:
        read = storage.read_files([keys[number] for number in files], max_bytes)
        results = _put(results, dict(zip(files, read)))
    for url, names in by_archive.items():
        results = _put(results, _read_named(url, names, max_bytes))
    return results


def _put(results: list[MemberData], some: dict[int, MemberData]) -> list[MemberData]:
    return [some.get(number, result) for number, result in enumerate(results)]


def _read_named(url: str, names: dict[int, str], max_bytes: Optional[int]) -> dict[int, MemberData]:
    info = storage.file_info(url)
    if info is None:
        error: OSError = FileNotFoundError("the archive was listed, but no longer exists")
        return dict.fromkeys(names, error)
    try:
        found = find_members(ArchiveFile(url, info.size_bytes), set(names.values()))
    except ArchiveError as damaged:
        return dict.fromkeys(names, OSError(str(damaged)))
    results: dict[int, MemberData] = {}
    wanted = []
    for number, name in names.items():
        if name not in found:
            results[number] = FileNotFoundError("the archive has no such member")
            continue
        _, member = found[name]
        if member.problem:
            results[number] = OSError(member.problem)
        elif max_bytes is not None and member.size_bytes > max_bytes:
            results[number] = storage.too_large(member.size_bytes, max_bytes)
        else:
            wanted.append((number, member.place))
    contents = read_members(url, [place for _, place in wanted])
    return {**results, **{number: data for (number, _), data in zip(wanted, contents)}}


def find_members(archive: ArchiveFile, names: Collection[str]) -> dict[str, tuple[int, Member]]:
    """Return the members with these names, with their numbers, by name; without those it lacks."""
    found: dict[str, tuple[int, Member]] = {}
    for number, member in enumerate(list_members(archive)):
        if member.name in names:
            found[member.name] = number, member
            if len(found) == len(names):
                break
    return found
