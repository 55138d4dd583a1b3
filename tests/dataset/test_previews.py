"""The groups of a dataset's contact sheet, with their titles and pictures."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import stripes
from halftone import archives, storage
from halftone.config import PixelSpec
from halftone.dataset import contact_sheet, previews, schema
from halftone.images import encode_pixels
from tables import digest, table

SPEC = PixelSpec(height_px=2, width_px=3, channels=1)
Groups = list[tuple[str, list[Any]]]


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Groups:
    """The groups of the last sheet that was drawn."""
    drawn_groups: Groups = []
    draw_contact_sheet = contact_sheet.draw_contact_sheet

    def record(groups: Groups) -> bytes:
        drawn_groups[:] = groups
        return draw_contact_sheet(groups)

    monkeypatch.setattr(contact_sheet, "draw_contact_sheet", record)
    return drawn_groups


def shard(path: Path, *rows: tuple[str, int], channels: int = 1) -> str:
    """Write a shard; a row is its label and the grey level of its pixels."""
    storage.write_table(
        str(path),
        table(
            schema.ROWS,
            *(
                (f"/i/{n}", label, 0, bytes([grey]) * 6 * channels, 9, 9, 1, 1.5, digest("d"), 0)
                for n, (label, grey) in enumerate(rows)
            ),
        ),
    )
    return str(path)


def write_rejects(url: Path, *rejects: tuple[str, str]) -> str:
    """Write a file of rejects; each is its path and the reason."""
    rows = [(path, reason, f"why {path}", 1, 1.5) for path, reason in rejects]
    storage.write_table(str(url), table(schema.REJECTS, *rows))
    return str(url)


def test_each_class_is_shown_with_its_first_images(tmp_path: Path, groups: Groups) -> None:
    first = shard(tmp_path / "1", ("dog", 1), ("cat", 2), ("dog", 3))
    second = shard(tmp_path / "2", ("cat", 4))
    data = previews.draw_dataset_sheet(
        [first, second], {"cat": 2, "dog": 1200, "ant": 0}, [], {}, SPEC
    )
    assert data.startswith(b"\x89PNG")
    assert [title for title, _ in groups] == [
        "cat, 2 in train",
        "dog, 1,200 in train",
        "ant, 0 in train",
    ]
    cats, dogs, ants = ([pixels.tolist() for pixels in shown] for _, shown in groups)
    assert cats == [[[[2]] * 3] * 2, [[[4]] * 3] * 2]
    assert dogs == [[[[1]] * 3] * 2, [[[3]] * 3] * 2]
    assert ants == []


def test_images_of_three_channels_are_shown_in_colour(tmp_path: Path, groups: Groups) -> None:
    url = shard(tmp_path / "1", ("cat", 9), channels=3)
    previews.draw_dataset_sheet(
        [url], {"cat": 1}, [], {}, PixelSpec(height_px=2, width_px=3, channels=3)
    )
    [(_, [pixels])] = groups
    assert pixels.tolist() == [[[9, 9, 9]] * 3] * 2


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_encoded_images_are_shown(tmp_path: Path, groups: Groups, encoding: str) -> None:
    spec = PixelSpec(height_px=2, width_px=3, channels=3, encoding=encoding)
    stored = {
        label: encode_pixels(np.full((2, 3, 3), grey, np.uint8), spec)
        for label, grey in (("cat", 9), ("dog", 7))
    }
    rows = [
        (f"/i/{label}", label, 0, data, 9, 9, 1, 1.5, digest("d"), 0)
        for label, data in [*stored.items()] * 30
    ]
    storage.write_table(str(tmp_path / "1"), table(schema.ROWS, *rows))
    previews.draw_dataset_sheet([str(tmp_path / "1")], {"cat": 30, "dog": 30}, [], {}, spec)
    cats, dogs = (np.stack(shown).tolist() for _, shown in groups)
    assert cats == [[[[9] * 3] * 3] * 2] * 24
    assert dogs == [[[[7] * 3] * 3] * 2] * 24


def test_at_most_four_shards_are_read_and_24_images_shown(tmp_path: Path, groups: Groups) -> None:
    urls = [shard(tmp_path / str(n), *[("cat", n)] * 7) for n in range(4)]
    previews.draw_dataset_sheet([*urls, "/nowhere"], {"cat": 28}, [], {}, SPEC)
    [(_, shown)] = groups
    assert [int(pixels[0, 0, 0]) for pixels in shown] == [0] * 7 + [1] * 7 + [2] * 7 + [3] * 3


def test_classes_beyond_60_are_only_counted(tmp_path: Path, groups: Groups) -> None:
    names = [f"class {n:02d}" for n in range(63)]
    url = shard(tmp_path / "1", *((name, 1) for name in names))
    previews.draw_dataset_sheet([url], dict.fromkeys(names, 1), [], {}, SPEC)
    assert len(groups) == 61
    assert groups[59][0] == "class 59, 1 in train"
    assert groups[60] == ("and 3 more classes", [])


def test_rejects_are_grouped_by_reason_with_the_images_that_can_be_shown(
    tmp_path: Path, groups: Groups
) -> None:
    small = str(tmp_path / "small.png")
    cv2.imwrite(small, stripes(0, seed=5))
    others = ("unreadable", "too_large", "damaged", "unreadable")
    urls = [
        write_rejects(tmp_path / "1", *(("/nowhere", reason) for reason in others)),
        write_rejects(tmp_path / "2", *[(small, "too_small")] * 15),
        write_rejects(tmp_path / "3", *[(small, "too_small")] * 15),
    ]
    counts = {"too_small": 1030, "unreadable": 2, "too_large": 1, "damaged": 1}
    previews.draw_dataset_sheet([], {}, urls, counts, SPEC)
    assert [(title, len(shown)) for title, shown in groups] == [
        ("rejected: damaged, 1 in all", 0),  # its file does not exist
        ("rejected: too_large, 1 in all", 0),
        ("rejected: too_small, 1,030 in all", 24),
        ("rejected: unreadable, 2 in all", 0),
    ]
    pixels = groups[2][1][0]
    assert (pixels.shape, pixels.dtype) == ((2, 3, 1), np.uint8)


def test_rejects_that_are_dangerous_to_decode_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: Groups
) -> None:
    read_urls: list[str] = []
    monkeypatch.setattr(archives, "read_images", lambda urls: read_urls.extend(urls) or [])
    reasons = ["empty", "not_an_image", "too_large", "unsupported", "unlabelled", "conflict"]
    url = write_rejects(tmp_path / "1", *((f"/i/{reason}", reason) for reason in reasons))
    previews.draw_dataset_sheet([], {}, [url], dict.fromkeys(reasons, 1), SPEC)
    assert read_urls == ["/i/conflict"]
    assert all(re.fullmatch(r"rejected: \w+, 1 in all", title) for title, _ in groups)


def test_the_first_rejects_of_each_reason_are_read_and_no_more_files_than_necessary(
    tmp_path: Path,
) -> None:
    urls = [
        write_rejects(tmp_path / "1", ("/c", "empty"), ("/a", "unlabelled"), ("/d", "empty")),
        write_rejects(tmp_path / "2", ("/e", "empty"), ("/b", "unlabelled"), ("/f", "empty")),
        "/nowhere",
    ]
    counts = {"unlabelled": 2, "empty": 4}

    def read(max_per_reason: int) -> list[tuple[str, str, str]]:
        found = previews.read_reject_previews(urls, counts, SPEC, max_per_reason)
        assert all(preview.pixels is None for preview in found)
        return [(preview.path, preview.reason, preview.detail) for preview in found]

    assert read(3) == [
        ("/c", "empty", "why /c"),
        ("/d", "empty", "why /d"),
        ("/e", "empty", "why /e"),
        ("/a", "unlabelled", "why /a"),
        ("/b", "unlabelled", "why /b"),
    ]
    assert [path for path, *_ in read(1)] == ["/c", "/a"]
    assert read(0) == []


def test_without_rejects_there_are_no_previews() -> None:
    assert previews.read_reject_previews([], {}, SPEC) == []


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=9), max_size=4), st.integers(0, 5))
def test_as_many_rejects_of_each_reason_are_found_as_there_are(
    files: list[list[str]], limit: int
) -> None:
    rejects = [
        (f"/{n}-{m}", reason) for n, file in enumerate(files) for m, reason in enumerate(file)
    ]
    with tempfile.TemporaryDirectory() as root:
        urls = []
        for number, reasons in enumerate(files):
            rows = [(f"/{number}-{place}", reason) for place, reason in enumerate(reasons)]
            urls.append(write_rejects(Path(root) / str(number), *rows))
        counts = Counter(reason for _, reason in rejects)
        found = previews.read_reject_previews(urls, counts, SPEC, limit)
    assert [(preview.path, preview.reason) for preview in found] == [
        reject
        for reason in sorted(counts)
        for reject in [each for each in rejects if each[1] == reason][:limit]
    ]
