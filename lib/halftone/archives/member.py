"""What an archive holds, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, Union

from halftone.errors import InputError

MemberData = Union[bytes, OSError]  # or why it cannot be read


class ArchiveError(InputError):
    """An archive is damaged, incomplete, or of a kind that is not read."""


class ArchiveFile(NamedTuple):
    """A file that holds images."""

    url: str
    size_bytes: int


class Member(NamedTuple):
    """A file in an archive, or a row of a table."""

    name: str  # unique in the archive
    size_bytes: int  # of its content
    place: str  # where it is, in the words of the format
    label: str = ""  # that the archive gives it
    split: str = ""  # that the archive gives it
    problem: str = ""  # why it cannot be read


class ArchiveFormat(Protocol):
    """How archives of one format are read; a module is one."""

    HAS_FILES: bool  # members have names with endings, and not all are images

    def list_members(self, archive: ArchiveFile) -> Iterator[Member]:
        """Yield the members in the order of the archive.

        Raises:
            ArchiveError: the archive is damaged or incomplete; some members may be unknown.
            OSError: it cannot be read.
        """
        ...

    def read_members(self, url: str, places: Sequence[str]) -> list[MemberData]:
        """Return the content of each member, as the bytes of an image file."""
        ...
