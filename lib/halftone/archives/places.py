"""Where a member is, as one text: a cell of the tables of listed images."""

from __future__ import annotations

import re
from typing import NamedTuple

_ENDING = re.compile(r"\.[^./]+$")


class MemberPlace(NamedTuple):
    """The place of a member; `str` gives the text. A file has the empty text."""

    number: int  # in the archive, from 0: neighbours are read together
    archive_chars: int  # of the path of the image, those that are the path of its archive
    place: str  # in the archive, see Member

    def __str__(self) -> str:
        return f"{self.number} {self.archive_chars} {self.place}"

    @classmethod
    def parse(cls, text: str) -> MemberPlace:
        number, archive_chars, place = text.split(" ", 2)
        return cls(int(number), int(archive_chars), place)

    def archive_of(self, path: str) -> str:
        """Return the path of the archive.

        Args:
            path: of the member.
        """
        return path[: self.archive_chars]

    def path_in_folder(self, path: str) -> str:
        """Return the path that the member would have in a folder with the name of its archive.

        `shards/cat.tar!1.jpg` gives `shards/cat/1.jpg`. Labels, groups and splits are found in it.

        Args:
            path: of the member.
        """
        return f"{_ENDING.sub('', self.archive_of(path))}/{path[self.archive_chars + 1 :]}"
