"""Images whose decoder is missing are named before they are decoded."""

from __future__ import annotations

from pathlib import Path

import pytest

from halftone.images import decoder_packages
from listed import list_images

ENDINGS = ("jpg", "heic", "heif", "dcm")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for name in ("a.jpg", "b.HEIC", "c.heif", "d.dcm"):
        (tmp_path / name).write_bytes(b"123")
    return str(tmp_path)


def test_a_note_says_how_many_images_need_which_package(
    folder: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_packages.importlib.util, "find_spec", lambda _: None)
    expected = [
        f"{folder}: {count} images would be rejected as unsupported: {needs}; run: pip install "
        "'halftone[formats]' on each machine that decodes images. Or leave their ending out of "
        "preprocess.suffixes"
        for count, needs in ((1, "DICOM needs pydicom"), (2, "HEIC needs pillow-heif"))
    ]
    assert list(list_images(folder, suffixes=ENDINGS).summary.notes) == expected
    table = tmp_path_factory.mktemp("tables") / "list.csv"
    table.write_text("path,label\na.jpg,x\nb.HEIC,x\nc.heif,y\nd.dcm,y\n")
    assert list(list_images(folder, str(table)).summary.notes) == expected
    # Files of an ending that is not listed are no images.
    assert list_images(folder, suffixes=["jpg"]).summary.notes == ()


def test_there_is_no_note_if_the_packages_are_there(folder: str) -> None:
    assert list_images(folder, suffixes=ENDINGS).summary.notes == ()
