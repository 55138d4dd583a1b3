from __future__ import annotations

from pathlib import Path
from typing import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halftone import arrow
from halftone.config import Config
from halftone.dataset.splits import SPLITS
from halftone.errors import InputError
from halftone.preprocess import catalogue, image_table, listed_files, table_paths

ROOT = "/data/images"


def write_csv(folder: Path, text: str | bytes) -> str:
    (folder / "list.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return str(folder / "list.csv")


def write_parquet(folder: Path, columns: dict[str, object]) -> str:
    pq.write_table(pa.table(columns), folder / "list.parquet")
    return str(folder / "list.parquet")


def test_a_csv_file_names_paths_labels_groups_and_splits(tmp_path: Path) -> None:
    url = write_csv(tmp_path, "path,label,group,split\n001.jpg,07,a,train\n002.jpg,8,b,test\n")
    image_listing = image_table.list_table(url, ROOT)
    assert image_listing.files.schema == listed_files.FILES
    assert list(arrow.iter_rows(image_listing.files, *listed_files.FILES.names)) == [
        ("001.jpg", "07", "a", "train", -1, 0.0),
        ("002.jpg", "8", "b", "test", -1, 0.0),
    ]
    assert (image_listing.has_labels, image_listing.ignored, image_listing.unreadable) == (
        True,
        {},
        [],
    )


def test_a_parquet_file_with_sizes_and_times(tmp_path: Path) -> None:
    columns = {"path": ["a/1.jpg", "b/2.jpg"], "size_bytes": [5, None], "modified": [9.5, None]}
    image_listing = image_table.list_table(write_parquet(tmp_path, columns), ROOT)
    assert list(arrow.iter_rows(image_listing.files, *listed_files.FILES.names)) == [
        ("a/1.jpg", "", "", "", 5, 9.5),
        ("b/2.jpg", "", "", "", -1, 0.0),
    ]
    assert not image_listing.has_labels


def rows(url: str, root: str = ROOT) -> list[tuple[str, str, str]]:
    """The path, label and split of each image."""
    return list(arrow.iter_rows(image_table.list_table(url, root).files, "path", "label", "split"))


@pytest.mark.parametrize(
    "header",
    [
        "path,label,split",
        "path, label, split",
        "Path,LABEL,Split",
        "path ,label ,split\t",
        "\u00a0path,label\u00a0,\ufeffsplit",
        "\ufeffpath,label,split",
        '\ufeff"path","label","split"',
        '\ufeff\ufeff"path", "label ","split"',
    ],
)
def test_spaces_marks_and_case_in_a_header_do_not_matter(tmp_path: Path, header: str) -> None:
    url = write_csv(tmp_path, f"{header}\na/1.jpg,cat,test\n")
    assert rows(url) == [("a/1.jpg", "cat", "test")]
    assert image_table.list_table(url, ROOT).used_columns == ("label", "split")
    url = write_parquet(
        tmp_path, {" Path": ["a/1.jpg"], "LABEL\u00a0": ["cat"], "split ": ["test"]}
    )
    assert rows(url) == [("a/1.jpg", "cat", "test")]


def test_spaces_after_commas_are_skipped_only_if_the_header_has_them(tmp_path: Path) -> None:
    text = 'path,{}label,split\na.jpg, "a, b", test\nb.jpg," cat",\n'
    assert rows(write_csv(tmp_path, text.format(" "))) == [
        ("a.jpg", "a, b", "test"),
        ("b.jpg", " cat", ""),
    ]
    text = "path,label,split\na.jpg, cat, test\n"
    assert rows(write_csv(tmp_path, text)) == [("a.jpg", " cat", " test")]


def test_only_an_empty_cell_is_no_label(tmp_path: Path) -> None:
    labels = ["NA", "null", "nan", "N/A", "None", "#N/A", "", '""', "true", "1e3", "007"]
    lines = [f"{number}.jpg,{label}" for number, label in enumerate(labels)]
    listed = rows(write_csv(tmp_path, "\n".join(["path,label", *lines])))
    assert [label for _, label, _ in listed] == ["" if x == '""' else x for x in labels]


def test_cells_with_line_breaks_empty_lines_and_carriage_returns(tmp_path: Path) -> None:
    text = '\r\npath,label\r\n"a\r\n1.jpg",cat\r\n\r\n"b,""2.jpg",dog'
    assert rows(write_csv(tmp_path, text)) == [("a\r\n1.jpg", "cat", ""), ('b,"2.jpg', "dog", "")]


def test_numbers_in_a_csv_file(tmp_path: Path) -> None:
    url = write_csv(tmp_path, "path,size_bytes,modified\na,5,1.5\nb,,\nc,6.0,7\n")
    files = image_table.list_table(url, ROOT).files
    assert files["size_bytes"].to_pylist() == [5, -1, 6]
    assert files["modified"].to_pylist() == [1.5, 0.0, 7.0]


def test_a_csv_file_of_several_slices(tmp_path: Path) -> None:
    lines = [f"{number}.jpg,{number % 7}" for number in range(150_000)]
    listed = rows(write_csv(tmp_path, "\n".join(["path,label", *lines])))
    assert listed == [(f"{number}.jpg", str(number % 7), "") for number in range(150_000)]


def test_columns_without_meaning_and_a_missing_label_column_are_told(tmp_path: Path) -> None:
    url = write_csv(tmp_path, ",path,labels,group\n0,a.jpg,cat,\n")
    listing = image_table.list_table(url, ROOT)
    assert (listing.has_labels, listing.used_columns) == (False, ())
    assert listing.unknown_columns == ("", "labels")
    assert listing.notes == (
        f"{url}: columns that are not used: '', 'labels'; known are path, label, group, split, "
        "size_bytes, modified",
        f"{url}: has no column label; the labels come from the paths, by preprocess.label_from",
    )
    assert image_table.list_table(write_csv(tmp_path, "path,label\na,b\n"), ROOT).notes == ()


def test_back_slashes_beside_slashes_are_part_of_a_name_and_are_told(tmp_path: Path) -> None:
    url = write_csv(tmp_path, "path,label\na/1.jpg,x\nb\\2.jpg,y\n")
    assert rows(url) == [("a/1.jpg", "x", ""), ("b\\2.jpg", "y", "")]
    assert image_table.list_table(url, ROOT).notes == (
        f"{url}: 1 paths contain a back-slash, such as b\\2.jpg; it is taken as part of the name",
    )


@pytest.mark.parametrize(
    ("root", "path", "expected"),
    [
        ("/data/images", "cat/1.jpg", "cat/1.jpg"),
        ("/data/images", "./cat/1.jpg", "cat/1.jpg"),
        ("/data/images", "/data/images/cat/1.jpg", "cat/1.jpg"),
        ("/data/images", "file:///data/images/cat/1.jpg", "cat/1.jpg"),
        ("/data/images", "/data/images", None),
        ("/data/images", "/data/images2/1.jpg", None),
        ("/data/images", "C:/data/images/1.jpg", None),
        ("/", "/cat/1.jpg", "cat/1.jpg"),
        ("s3://bucket/images", "cat/1.jpg", "cat/1.jpg"),
        ("s3://bucket/images", "./cat/1.jpg", "./cat/1.jpg"),
        ("s3://bucket/images", "s3://bucket/images/cat//1.jpg", "cat//1.jpg"),
        ("s3://bucket/images", "s3a://bucket/images/cat/1.jpg", "cat/1.jpg"),
        ("s3://bucket/images", "s3://other/images/cat/1.jpg", None),
        ("s3://bucket/images", "/images/cat/1.jpg", None),
    ],
)
def test_paths_are_relative_to_the_folder_of_images(
    root: str, path: str, expected: str | None
) -> None:
    assert table_paths.relative_path(root, path) == expected


def test_absolute_paths_of_a_table(tmp_path: Path) -> None:
    url = write_csv(tmp_path, "path,label\n/data/images/a/1.jpg,x\nfile:/data/images/b.jpg,y\n")
    assert rows(url) == [("a/1.jpg", "x", ""), ("b.jpg", "y", "")]


@pytest.mark.parametrize(
    ("labels", "sizes"),
    [
        (pa.array(["7", "8", None]).dictionary_encode(), [5.0, 6.0, None]),
        (pa.array(["7", "8", None], pa.large_string()), pa.array([5, 6, None], pa.int16())),
        (pa.array([7, 8, None]), ["5", "6", None]),
    ],
    ids=["categories, floats", "large text, small numbers", "numbers, text"],
)
def test_columns_of_other_types_are_converted(
    tmp_path: Path, labels: pa.Array, sizes: object
) -> None:
    columns = {"path": ["1.jpg", "2.jpg", "3.jpg"], "label": labels, "size_bytes": sizes}
    files = image_table.list_table(write_parquet(tmp_path, columns), ROOT).files
    assert files["label"].to_pylist() == ["7", "8", ""]
    assert files["size_bytes"].to_pylist() == [5, 6, -1]


def test_a_column_that_cannot_be_converted_is_an_error(tmp_path: Path) -> None:
    url = write_parquet(tmp_path, {"path": ["1.jpg"], "size_bytes": ["small"]})
    with pytest.raises(InputError) as caught:
        image_table.list_table(url, ROOT)
    assert str(caught.value) == (
        f"{url}: column size_bytes must be int64: Failed to parse string: 'small' as a scalar of "
        "type double"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,x\na.jpg,1\n", "has no column path; it has 'file', 'x', and may have path, label, "
         "group, split, size_bytes, modified"),
        ("path\n", "names no images"),
        ("path,label,Label \na.jpg,x,y\n", "2 columns have the name label: 'label', 'Label ' "
         "(spaces and case do not matter); remove or rename all but one"),
        ("path;label\na.jpg;x\n", "its cells are separated by semicolons ('path;label'); save it "
         "with commas"),
        ("path\tlabel\na.jpg\tx\n", "its cells are separated by tabs ('path\\tlabel'); save it "
         "with commas"),
        ("path,label\na.jpg,x\nb,2.jpg,y\n", "line 3 has 3 cells, the header has 2; put a cell "
         "that contains a comma into double quotes"),
        ('path,label\na.jpg,"x\n', "neither Parquet nor CSV: line 2: unexpected end of data"),
        ("path,label\na.jpg,x\n".encode("utf-16"), "is UTF-16 text; save it as CSV in UTF-8"),
        ("path,label\na.jpg,x\nb.jpg,é\n".encode("latin-1"), "line 3 is not UTF-8 text (byte "
         "0xe9); save the file as CSV in UTF-8"),
        (b"PAR1", "is a Parquet file; its name must end in .parquet"),
        ("path\ncat\\1.jpg\nC:\\x\\2.jpg\n3.jpg\n", "2 paths are written with back-slashes, "
         "such as cat\\1.jpg; replace them by forward slashes"),
        ("path\na.jpg\n/data/images2/a.jpg\ns3://b/c.jpg\n", "2 paths are not below /data/images, "
         "such as /data/images2/a.jpg; check paths.images or --input, or write paths relative to "
         "that folder"),
        ("path\na.jpg\n/data/images/a.jpg\n", "names 1 paths more than once, such as a.jpg"),
        ("path,label\na.jpg,x\n,y\n", "row 2 has no path"),
        ("path\na.jpg\nb.jpg\na.jpg\n", "names 1 paths more than once, such as a.jpg"),
    ],
)  # fmt: skip
def test_an_unusable_table_is_an_error(tmp_path: Path, text: str | bytes, message: str) -> None:
    url = write_csv(tmp_path, text)
    with pytest.raises(InputError) as caught:
        image_table.list_table(url, ROOT)
    assert str(caught.value) == f"{url}: {message}"


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        image_table.list_table(f"{tmp_path}/nowhere.csv", ROOT)
    assert str(caught.value) == f"{tmp_path}/nowhere.csv: no such file; check preprocess.catalogue"


def test_an_invalid_parquet_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "list.parquet").write_text("path\n")
    with pytest.raises(InputError, match=r"list\.parquet: neither Parquet nor CSV: "):
        image_table.list_table(str(tmp_path / "list.parquet"), ROOT)


def test_a_table_takes_precedence_over_the_patterns_of_the_config(
    tmp_path: Path, config: Callable[..., Config]
) -> None:
    url = write_csv(
        tmp_path, "path,label,split\nx/1.jpg,cat,test\nx/2.jpg,dog,val\nx/3.jpg,,train\n"
    )
    images = catalogue.build_catalogue("/images", config(preprocess={"catalogue": url}))
    rows = {row["path"]: row for row in images.entries.to_pylist()}
    assert {path: (row["label"], SPLITS[row["split"]]) for path, row in rows.items()} == {
        "x/1.jpg": ("cat", "test"),
        "x/2.jpg": ("dog", "validation"),
    }
    assert [image[:3] for image in images.unusable_images] == [
        ("x/3.jpg", "unlabelled", "preprocess.catalogue gives it no label")
    ]


def test_a_group_of_a_table_stays_in_one_split(
    tmp_path: Path, config: Callable[..., Config]
) -> None:
    lines = [f"{kind}/{n}.jpg,{kind},{n}" for kind in ("a", "b") for n in range(40)]
    url = write_csv(tmp_path, "\n".join(["path,label,group", *lines]))
    splits = {"validation_fraction": 0.3, "test_fraction": 0.3}
    settings = config(preprocess={"catalogue": url}, splits=splits)
    entries = catalogue.build_catalogue("/images", settings).entries.to_pylist()
    split = {row["path"]: row["split"] for row in entries}
    assert all(split[f"a/{n}.jpg"] == split[f"b/{n}.jpg"] for n in range(40))
    assert set(split.values()) == {0, 1, 2}


def test_an_unknown_split_is_an_error(tmp_path: Path, config: Callable[..., Config]) -> None:
    url = write_csv(tmp_path, "path,label,split\n1.jpg,cat,test\n2.jpg,dog,later\n")
    with pytest.raises(InputError) as caught:
        catalogue.build_catalogue("/images", config(preprocess={"catalogue": url}))
    assert str(caught.value) == (
        "2.jpg: its split is 'later'; it must be train, validation or test (or val, valid, dev, "
        "training, testing)"
    )
