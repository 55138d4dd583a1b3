"""Images by their keys, and which keys are those of members."""

from __future__ import annotations

from pathlib import Path

import pytest

from halftone.archives import MemberPlace, read_images
from halftone.archives.member_keys import split_member_path
from packed_images import write_tar


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("a.tar!1.jpg", ("a.tar", "1.jpg")),
        ("s3://b/x/A.TAR!cat/1.jpg", ("s3://b/x/A.TAR", "cat/1.jpg")),
        ("a.zip!b.tar!1.jpg", ("a.zip", "b.tar!1.jpg")),
        ("a.tar!/../1.jpg", ("a.tar", "/../1.jpg")),
        ("a.tar", None),
        ("a.tar!", None),
        ("Wow!.jpg", None),
        ("a.tar.gz!1.jpg", None),
        ("a.tarx!1.jpg", None),
        ("a.tar/b!1.jpg", None),
    ],
)
def test_the_path_of_a_member_has_the_name_of_an_archive_and_a_mark(
    path: str, parts: tuple[str, str] | None
) -> None:
    assert split_member_path(path) == parts


def test_an_archive_counts_as_a_folder_of_its_name() -> None:
    place = MemberPlace(3, len("x/cat.tar"), "512 10")
    assert str(place) == "3 9 512 10"
    assert MemberPlace.parse("3 9 512 10") == place
    assert place.path_in_folder("x/cat.tar!1.jpg") == "x/cat/1.jpg"
    assert place.path_in_folder("x/cat.tar!dog/1.jpg") == "x/cat/dog/1.jpg"


def test_files_and_members_are_read_by_their_keys(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", {"1.jpg": b"one", "x/2.jpg": b"two", "3.jpg": bytes(50)})
    (tmp_path / "a.tar!x").mkdir()
    (tmp_path / "a.tar!x" / "4.jpg").write_bytes(b"a file")
    keys = [f"{tar}!x/2.jpg", f"{tar}!x/4.jpg", f"{tar}!5.jpg", f"{tar}!1.jpg", str(tmp_path / "n")]
    results = read_images([*keys, f"{tar}!3.jpg", f"{tmp_path}/b.zip!1.jpg"], max_bytes=10)
    assert [data for data in results if isinstance(data, bytes)] == [b"two", b"a file", b"one"]
    assert [str(data) for data in results if isinstance(data, OSError)] == [
        "the archive has no such member",
        f"[Errno 2] No such file or directory: '{tmp_path}/n'",
        "[Errno 27] too large: 50 bytes, at most 10 are read",
        "the archive was listed, but no longer exists",
    ]
