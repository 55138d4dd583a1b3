from __future__ import annotations

import os
from pathlib import Path

from halftone import arrow
from halftone.preprocess import listed_files, listing


def test_a_folder_is_listed_without_labels(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "notes.txt"):
        (tmp_path / name).write_bytes(b"123")
        os.utime(tmp_path / name, (5, 1.5))
    image_listing = listing.list_folder(str(tmp_path), ["jpg", ".png"])
    assert list(arrow.iter_rows(image_listing.files, *listed_files.FILES.names)) == [
        ("a.PNG", "", "", "", 3, 1.5),
        ("b.jpg", "", "", "", 3, 1.5),
    ]
    assert (image_listing.has_labels, image_listing.ignored, image_listing.non_utf8_files) == (
        False,
        {".txt": 1},
        [],
    )
