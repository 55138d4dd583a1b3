from __future__ import annotations

from pathlib import Path

import pytest

from halftone.errors import InputError
from listed import list_images

ROOT = "/data/images"


def write(folder: Path, text: str | bytes) -> str:
    (folder / "train.lst").write_bytes(text.encode() if isinstance(text, str) else text)
    return str(folder / "train.lst")


def test_index_label_and_path(tmp_path: Path) -> None:
    text = (
        "\ufeff5\t1\tyour_image_directory/train_img_dog1.jpg\r\n"
        "1000\t0\tyour_image_directory/train img, cat1.jpg\r\n\r\n"
        "22\t2.000000\t/data/images/a.jpg\r\n"
        "23\t\t./b.jpg"
    )
    listed = list_images(ROOT, write(tmp_path, text))
    assert listed.values("path", "label") == [
        ("your_image_directory/train_img_dog1.jpg", "1"),
        ("your_image_directory/train img, cat1.jpg", "0"),
        ("a.jpg", "2"),
        ("b.jpg", ""),
    ]
    assert listed.summary == (4, 0, {}, ("label",), (), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no images"),
        ("0\t1\ta.jpg\n1 0 b.jpg\n", "line 2 has 1 cells, '1 0 b.jpg'; it must be index, label and "
         "path with tabs between them"),
        ("0\t1\t0\ta.jpg\n", "line 1 has 2 labels; an image must have one. It must be index, label "
         "and path with tabs between them"),
        ("0\tcat\ta.jpg\n", "line 1 has the label 'cat'; it must be a whole number, the index of a "
         "class"),
        ("0\t1\ta.jpg\n1\t0.5\tb.jpg\n", "line 2 has the label '0.5'; it must be a whole number, "
         "the index of a class"),
        ("0\tnan\ta.jpg\n", "line 1 has the label 'nan'; it must be a whole number, the index of a "
         "class"),
        ("a.jpg\t1\t0\n", "line 1 has the index 'a.jpg', not a whole number; it must be index, "
         "label and path with tabs between them"),
        ("0\t1\t\n", "line 1 has no path"),
        ("0\t1\ta.jpg\n1\t1\ta.jpg\n", "names 1 paths more than once, such as a.jpg"),
        ("0\t1\té.jpg\n".encode("latin-1"), "line 1 is not UTF-8 text (byte 0xe9); save the file "
         "in UTF-8"),
    ],
)  # fmt: skip
def test_an_unusable_file_is_an_error(tmp_path: Path, text: str | bytes, message: str) -> None:
    url = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url)
    assert str(caught.value) == f"{url}: {message}"


def test_a_name_for_the_column_of_labels_is_an_error(tmp_path: Path) -> None:
    url = write(tmp_path, "0\t1\ta.jpg\n")
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url, label_column="breed")
    assert str(caught.value) == (
        f"{url}: has no names of columns, and preprocess.label_column is breed; remove that setting"
    )
