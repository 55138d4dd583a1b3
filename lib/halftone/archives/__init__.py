"""Read images that are not files of their own: members of archives, and rows of tables.

The key of a member is the URL of its archive, an exclamation mark and the member's name.
"""

from halftone.archives.formats import find_format, list_members
from halftone.archives.member import ArchiveError, ArchiveFile, Member
from halftone.archives.member_keys import member_path
from halftone.archives.places import MemberPlace
from halftone.archives.reading import read_images, read_members

__all__ = [
    "ArchiveError",
    "ArchiveFile",
    "Member",
    "MemberPlace",
    "find_format",
    "list_members",
    "member_path",
    "read_images",
    "read_members",
]
