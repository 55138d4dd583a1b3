"""Folders as the documentation of ImageFolder describes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from halftone.errors import InputError
from listed import list_images


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_csv", ".csv").replace("_jsonl", ".jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def rows(root: Path, below: str = "") -> list[tuple[object, ...]]:
    return list_images(str(root), str(root / below)).values("path", "label", "split")


def test_metadata_csv(tmp_path: Path) -> None:
    write(tmp_path, metadata_csv="file_name,label,text\n0001.png,7,a\nsub/2.png,8,b\n")
    for below in ("", "metadata.csv"):
        listed = list_images(str(tmp_path), str(tmp_path / below))
        assert listed.values("path", "label") == [("0001.png", "7"), ("sub/2.png", "8")]
        assert listed.summary.unknown_columns == ("text",)
        assert listed.summary.used_columns == ("label",)


def test_metadata_jsonl_of_each_split(tmp_path: Path) -> None:
    write(
        tmp_path,
        train__metadata_jsonl='{"file_name": "1.png", "label": 0}\n{"file_name": "x/2.png"}\n',
        val__metadata_csv="file_name,label\n./1.png,1\n",
        test__metadata_jsonl='{"file_name": "../shared/3.png", "label": 1}\n',
    )
    assert rows(tmp_path) == [
        ("shared/3.png", "1", "test"),
        ("train/1.png", "0", "train"),
        ("train/x/2.png", "", "train"),
        ("val/1.png", "1", "val"),
    ]
    assert rows(tmp_path, "train/metadata.jsonl") == [
        ("train/1.png", "0", ""),
        ("train/x/2.png", "", ""),
    ]
    assert list_images(str(tmp_path), str(tmp_path)).summary.used_columns == ("label", "split")


def test_metadata_with_path_is_a_table_like_any_other(tmp_path: Path) -> None:
    write(tmp_path, lists__metadata_csv="path,label\n1.png,a\n")
    assert rows(tmp_path, "lists/metadata.csv") == [("1.png", "a", "")]


def test_the_column_of_labels_may_have_another_name(tmp_path: Path) -> None:
    write(tmp_path, metadata_jsonl='{"file_name": "1.png", "label": 0, "Breed": "pug"}\n')
    listed = list_images(str(tmp_path), str(tmp_path), label_column="breed")
    assert listed.values("path", "label") == [("1.png", "pug")]
    assert listed.summary.unknown_columns == ("label",)
    with pytest.raises(InputError) as caught:
        list_images(str(tmp_path), str(tmp_path), label_column="race")
    assert str(caught.value) == (
        f"{tmp_path}/metadata.jsonl: has no column race; it has 'file_name', 'label', 'Breed'. "
        "Correct preprocess.label_column"
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"metadata_csv": "file_name\n", "metadata_jsonl": "{}"}, "URL: has the metadata "
         "URL/metadata.csv and URL/metadata.jsonl; keep one file, or one in each folder of a "
         "split"),
        ({"metadata_csv": "file_name\n", "test__metadata_csv": "file_name\n"}, "URL: has the "
         "metadata URL/metadata.csv and URL/test/metadata.csv; keep one file, or one in each "
         "folder of a split"),
        ({"train__metadata_csv": "file_name,label\n", "test__metadata_csv": "file_name\n"},
         "URL/train/metadata.csv: has the columns label, path, and URL/test/metadata.csv has path; "
         "write all with the same columns"),
        ({"train__metadata_csv": "file_name,split\n"}, "URL/train/metadata.csv: has a column "
         "split, and its folder is that of a split; remove the column"),
        ({"metadata_csv": "name,label\n"}, "URL/metadata.csv: has no column file_name; it has "
         "'name', 'label', and may have file_name, label, group, split, size_bytes, modified"),
        ({"metadata_jsonl": '{"file_name": "1.png"}\n{"file_name": null}\n'}, "URL/metadata.jsonl: "
         "line 2 has no file_name"),
        ({"metadata_csv": "file_name\n../1.png\n"}, "URL: 1 paths are not below URL, "
         "such as URL/../1.png; check paths.images or --input, or write paths relative to "
         "that folder"),
    ],
)  # fmt: skip
def test_unusable_metadata_are_an_error(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    root = tmp_path / "images"
    write(root, **files)
    with pytest.raises(InputError) as caught:
        rows(root)
    assert str(caught.value).replace(str(root), "URL") == message


def test_no_file_is_listed_to_find_the_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of millions of images takes no longer than an empty one."""
    write(tmp_path, metadata_csv="file_name,label\n1.png,a\n")
    monkeypatch.setattr("halftone.storage.list_files", None)
    monkeypatch.setattr("halftone.storage.list_names", None)
    assert rows(tmp_path) == [("1.png", "a", "")]


def test_a_folder_without_metadata_is_one_of_parquet_files(tmp_path: Path) -> None:
    write(tmp_path, train__1_csv="x")
    with pytest.raises(InputError, match=r"contains train/1\.csv, whose name does not end in \.pa"):
        rows(tmp_path)
