"""Find the members of archives that a table of images names."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa

from halftone import arrow, storage
from halftone.archives import ArchiveFile, MemberPlace
from halftone.archives.member_keys import SEPARATOR, split_member_path
from halftone.archives.reading import find_members
from halftone.dataset import schema
from halftone.listing.listed_rows import LISTED, MEMBER_PLACE


def locate_members(root: str, rows: pa.Table) -> pa.Table:
    """Return rows of a table, in which members of archives have their places.

    A member whose size the table does not have gets that of the archive's directory, and the
    archive's time of modification. What is not found stays as it is, and is looked for as a file.

    Args:
        root: the folder of images.
        rows: LISTED.

    Raises:
        ArchiveError: an archive is damaged.
    """
    paths = rows[schema.PATH].to_pylist()
    by_archive: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for index, path in enumerate(paths):
        parts = split_member_path(path) if SEPARATOR in path else None
        if parts is not None:
            by_archive[parts[0]][parts[1]] = index
    if not by_archive:
        return rows
    names = (schema.SIZE_BYTES, schema.MODIFIED, MEMBER_PLACE)
    columns = {name: rows[name].to_pylist() for name in names}
    for archive, indices in by_archive.items():
        url = storage.join(root, archive)
        info = storage.file_info(url)
        if info is None:
            continue
        found = find_members(ArchiveFile(url, info.size_bytes), indices)
        for name, (number, member) in found.items():
            if member.problem:
                continue
            index = indices[name]
            if columns[schema.SIZE_BYTES][index] < 0:
                columns[schema.SIZE_BYTES][index] = member.size_bytes
                columns[schema.MODIFIED][index] = info.modified
            columns[MEMBER_PLACE][index] = str(MemberPlace(number, len(archive), member.place))
    for name, values in columns.items():
        array = arrow.make_array(values, LISTED.field(name).type)
        rows = rows.set_column(rows.schema.get_field_index(name), LISTED.field(name), array)
    return rows
