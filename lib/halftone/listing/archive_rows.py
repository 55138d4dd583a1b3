"""Make rows of the members of archives: each is an image, unreadable, or ignored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Union

import pyarrow as pa

from halftone import archives, arrow, storage
from halftone.archives import ArchiveError, ArchiveFile, Member, MemberPlace
from halftone.archives.formats import is_archive_name
from halftone.arrow.columns import SLICE_ROWS
from halftone.dataset import schema
from halftone.listing.listed_rows import (
    DETAIL,
    LISTED,
    MEMBER_PLACE,
    REASON,
    UNLABELLED,
    UNREADABLE,
    fill_columns,
)
from halftone.listing.remarks import UnitRemarks
from halftone.listing.stored_files import describe_stored_file

# Units of a listing that list archives, at most.
_MAX_UNITS = 256
_ARCHIVES = "archives"  # the key of the arguments of such a unit
_NESTED = "archive in an archive"
_NAMES = (
    *(schema.PATH, schema.LABEL, schema.SPLIT, schema.SIZE_BYTES, schema.MODIFIED),
    *(REASON, DETAIL, MEMBER_PLACE),
)

_NO_LABEL = "its archive gives it no label, but labels to others"

_Row = tuple[Union[str, int, float], ...]


class ArchiveRules(NamedTuple):
    """What decides about the rows of members."""

    root: str  # the folder of images
    endings: frozenset[str]  # of the names of images, in archives of files
    has_stored_labels: bool  # labels of archives count


def plan_archive_units(files: Sequence[tuple[str, int, float]]) -> list[dict[str, Any]]:
    """Return the arguments of units that list archives.

    Args:
        files: path, size in bytes and time of modification of each archive.
    """
    num_units = min(_MAX_UNITS, len(files))
    # The largest first, so that units have about equally much to read.
    ordered = sorted(files, key=lambda file: (-file[1], file[0]))
    return [{_ARCHIVES: ordered[start::num_units]} for start in range(num_units)]


def holds_archives(arguments: Any) -> bool:
    """Return whether the arguments of a unit are those of `plan_archive_units`."""
    return isinstance(arguments, dict) and _ARCHIVES in arguments


def list_archives(
    rules: ArchiveRules, remarks: UnitRemarks, arguments: dict[str, Any]
) -> Iterator[pa.Table]:
    """Yield LISTED of the images in the archives of a unit.

    Raises:
        ArchiveError: an archive is damaged, or gives labels to some of its images only.
    """
    for path, size_bytes, modified in arguments[_ARCHIVES]:
        yield from _list_archive(rules, remarks, path, size_bytes, modified)


def _list_archive(
    rules: ArchiveRules, remarks: UnitRemarks, path: str, size_bytes: int, modified: float
) -> Iterator[pa.Table]:
    url = storage.join(rules.root, path)
    remarks.num_archives += 1
    members = enumerate(archives.list_members(ArchiveFile(url, size_bytes)))
    labels = _StoredLabels(url, rules.has_stored_labels)
    while batch := list(islice(members, SLICE_ROWS)):
        images = list(_select_images(rules, remarks, path, [member for _, member in batch]))
        rows = [
            _make_row(path, batch[index][0], labels.check(member), modified, remarks)
            for index, member in images
        ]
        if rows:
            yield _build_table(url, rows)


def _select_images(
    rules: ArchiveRules, remarks: UnitRemarks, path: str, members: Sequence[Member]
) -> Iterator[tuple[int, Member]]:
    """Yield the images with their index; count the others as ignored."""
    format_ = archives.find_format(path)
    if format_ is None or not format_.HAS_FILES:
        yield from enumerate(members)
        return
    names = {member.name for member in members}
    for index, member in enumerate(members):
        last = member.name.rpartition("/")[2]
        ending = last.rpartition(".")[2] if "." in last else ""
        kind = describe_stored_file(member.name, member.size_bytes, names.__contains__)
        if kind is None and ending.lower() not in rules.endings:
            kind = f".{ending}" if ending else "no ending"
            kind = _NESTED if is_archive_name(member.name) else kind
        if kind is None:
            yield index, member
        else:
            remarks.ignored[kind] += 1


class _StoredLabels:
    """Checks that an archive gives a label to all of its images, or to none.

    The first image decides. Without this, the label of an image could come from its path because
    a label is missing.
    """

    def __init__(self, url: str, are_used: bool) -> None:
        self._url, self._are_used = url, are_used
        self._first: list[Member] = []

    def check(self, member: Member) -> Member:
        """Return the member with what is wrong with its label as the problem.

        Raises:
            ArchiveError: it has a label, and the first image of the archive has none.
        """
        if not self._are_used:
            return member._replace(label="")
        if not self._first:
            self._first.append(member)
        (first,) = self._first
        if first.label and not member.label:
            return member._replace(problem=_NO_LABEL)
        if member.label and not first.label:
            raise ArchiveError(
                f"{self._url}: gives {member.name} the label {member.label!r}, but "
                f"{first.name} none; add the label that is missing, or set "
                "preprocess.archive_labels: path to find labels in the paths"
            )
        return member


def _make_row(
    path: str, number: int, member: Member, modified: float, remarks: UnitRemarks
) -> _Row:
    """Return a row of _NAMES, and count it."""
    key = archives.member_path(path, member.name)
    shown = key.encode("utf-8", "backslashreplace").decode()
    detail = member.problem
    if not detail and shown != key:
        detail = "its name is not UTF-8 text; rename it"
    reason = (UNLABELLED if detail == _NO_LABEL else UNREADABLE) if detail else ""
    remarks.num_images += not reason
    remarks.num_members += not reason
    remarks.num_unreadable += bool(reason)
    if not reason and member.label:
        remarks.num_stored_labels += 1
        remarks.stored_label_example = remarks.stored_label_example or shown
    elif not reason:
        remarks.path_label_example = remarks.path_label_example or shown
    place = str(MemberPlace(number, len(path), member.place))
    sizes = (member.size_bytes, modified)
    return (shown, member.label, member.split, *sizes, reason, detail, place)


def _build_table(url: str, rows: Iterable[_Row]) -> pa.Table:
    columns = [
        arrow.make_array(values, LISTED.field(name).type)
        for name, values in zip(_NAMES, zip(*rows))
    ]
    return fill_columns(url, pa.table(columns, names=list(_NAMES)))
