"""Tar archives that are not compressed, and the shards of WebDataset, which are such archives.

In a shard of WebDataset, members that follow each other with the same name up to the first dot of
its last part are one sample, and its label is the text of the member `.cls`, or `label` of `.json`.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Optional

from halftone import storage
from halftone.archives.member import ArchiveError, ArchiveFile, Member, MemberData
from halftone.archives.windows import open_windowed
from halftone.storage import Piece

HAS_FILES = True
_CLS, _JSON = "cls", "json"
_MAX_LABEL_BYTES = 2**20
# Programs fill archives up to a multiple of their block; GNU tar's is 10 KiB, others take 1 MiB.
_MAX_PADDING_BYTES = 2**21


def list_members(archive: ArchiveFile) -> Iterator[Member]:
    for _, sample in groupby(_iter_headers(archive), key=lambda found: _sample_name(found[0].name)):
        yield from _label_sample(list(sample))


def read_members(url: str, places: Sequence[str]) -> list[MemberData]:
    return storage.read_pieces(url, [Piece(*map(int, place.split())) for place in places])


def _sample_name(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def _ending(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower()


def _label_sample(sample: list[tuple[Member, bytes]]) -> Iterator[Member]:
    """Yield the members of a sample, with its label."""
    contents = {_ending(member.name): content for member, content in sample if content}
    label = _read_label(contents.get(_CLS), contents.get(_JSON))
    for member, _ in sample:
        yield member._replace(label=label)


def _read_label(cls: Optional[bytes], attributes: Optional[bytes]) -> str:
    if cls is not None:
        return cls.decode("utf-8", "replace").strip()
    if attributes is None:
        return ""
    try:
        value: Any = json.loads(attributes)
    except ValueError:
        return ""
    label = value.get("label") if isinstance(value, dict) else None
    is_label = isinstance(label, (str, int)) and not isinstance(label, bool)
    return str(label).strip() if is_label else ""


def _iter_headers(archive: ArchiveFile) -> Iterator[tuple[Member, bytes]]:
    """Yield the members but folders, with the content of those that may hold a label."""
    file = open_windowed(archive)
    try:
        tar = tarfile.TarFile(fileobj=file, mode="r", errors="surrogateescape")
    except tarfile.TarError as error:
        raise ArchiveError(f"{archive.url}: is no tar archive: {error}") from None
    num_members = 0
    while (info := _next(archive, tar, num_members)) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # it would hold all of them
        num_members += 1
        if not info.isdir():
            yield _make_member(info), _read_sidecar(file, info)
    _check_end(archive, file, tar.offset, num_members)


def _next(archive: ArchiveFile, tar: tarfile.TarFile, num_members: int) -> Optional[Any]:
    try:
        return tar.next()
    except (tarfile.TarError, ValueError) as error:
        raise _incomplete_error(archive, tar.offset, num_members, str(error)) from None


def _make_member(info: tarfile.TarInfo) -> Member:
    problem = ""
    if info.issparse():
        problem = "a sparse file in a tar archive is not read; write it with tar without --sparse"
    elif info.issym() or info.islnk():
        problem = (
            f"a link to {info.linkname} in a tar archive is not read; write it with tar "
            "--dereference --hard-dereference"
        )
    elif not info.isreg():
        problem = "a member of a tar archive that is no file"
    name = info.name
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return Member(name, info.size, f"{info.offset_data} {info.size}", problem=problem)


def _read_sidecar(file: storage.WindowedFile, info: tarfile.TarInfo) -> bytes:
    if not info.isreg() or info.size > _MAX_LABEL_BYTES or _ending(info.name) not in (_CLS, _JSON):
        return b""
    position = file.tell()
    file.seek(info.offset_data)
    content = file.read(info.size)
    file.seek(position)
    return content


def _check_end(
    archive: ArchiveFile, file: storage.WindowedFile, offset: int, num_members: int
) -> None:
    """Check that the headers end with the end of the archive: tarfile stops at damage too."""
    file.seek(offset)
    head = file.read(tarfile.BLOCKSIZE)
    if len(head) < tarfile.BLOCKSIZE or head.strip(b"\0"):
        what = "the end marker is missing" if not head else "a header is damaged"
        raise _incomplete_error(archive, offset, num_members, what)
    num_left = archive.size_bytes - offset
    if num_left > _MAX_PADDING_BYTES or file.read().strip(b"\0"):
        raise _incomplete_error(
            archive, offset, num_members, "more data follow the end marker, as of joined archives"
        )


def _incomplete_error(
    archive: ArchiveFile, offset: int, num_members: int, what: str
) -> ArchiveError:
    return ArchiveError(
        f"{archive.url}: the archive is damaged or incomplete: {what}, at byte {offset:,} of "
        f"{archive.size_bytes:,}, after {num_members:,} members; copy it again, or write it anew"
    )
