from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halftone.errors import InputError
from halftone.listing import LISTED, table_paths
from listed import list_images

ROOT = "/data/images"


def write_csv(folder: Path, text: str | bytes) -> str:
    (folder / "list.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return str(folder / "list.csv")


def write_parquet(folder: Path, columns: dict[str, object]) -> str:
    pq.write_table(pa.table(columns), folder / "list.parquet")
    return str(folder / "list.parquet")


def test_a_csv_file_names_paths_labels_groups_and_splits(tmp_path: Path) -> None:
    url = write_csv(tmp_path, "path,label,group,split\n001.jpg,07,a,train\n002.jpg,8,b,test\n")
    listed = list_images(ROOT, url)
    assert listed.values(*LISTED.names) == [
        ("001.jpg", "07", "a", "train", -1, 0.0, "", "", ""),
        ("002.jpg", "8", "b", "test", -1, 0.0, "", "", ""),
    ]
    assert listed.summary == (2, 0, {}, ("label", "group", "split"), (), ())


def test_a_parquet_file_with_sizes_and_times(tmp_path: Path) -> None:
    columns = {"path": ["a/1.jpg", "b/2.jpg"], "size_bytes": [5, None], "modified": [9.5, None]}
    listed = list_images(ROOT, write_parquet(tmp_path, columns))
    assert listed.values(*LISTED.names) == [
        ("a/1.jpg", "", "", "", 5, 9.5, "", "", ""),
        ("b/2.jpg", "", "", "", -1, 0.0, "", "", ""),
    ]
    assert listed.summary.used_columns == ()


def rows(url: str, root: str = ROOT) -> list[tuple[object, ...]]:
    """The path, label and split of each image."""
    return list_images(root, url).values("path", "label", "split")


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
    assert list_images(ROOT, url).summary.used_columns == ("label", "split")
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
    files = list_images(ROOT, url).rows
    assert files["size_bytes"].to_pylist() == [5, -1, 6]
    assert files["modified"].to_pylist() == [1.5, 0.0, 7.0]


def test_a_csv_file_of_several_slices(tmp_path: Path) -> None:
    lines = [f"{number}.jpg,{number % 7}" for number in range(150_000)]
    listed = rows(write_csv(tmp_path, "\n".join(["path,label", *lines])))
    assert listed == [(f"{number}.jpg", str(number % 7), "") for number in range(150_000)]


def test_columns_without_meaning_and_a_missing_label_column_are_told(tmp_path: Path) -> None:
    url = write_csv(tmp_path, ",path,labels,group\n0,a.jpg,cat,\n")
    summary = list_images(ROOT, url).summary
    assert summary.used_columns == ()
    assert summary.unknown_columns == ("", "labels")
    assert summary.notes == (
        f"{url}: columns that are not used: '', 'labels'; known are path, label, group, split, "
        "size_bytes, modified",
        f"{url}: has no column label; the labels come from the paths, by preprocess.label_from",
    )
    assert list_images(ROOT, write_csv(tmp_path, "path,label\na,b\n")).summary.notes == ()


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_the_column_of_labels_may_have_another_name(tmp_path: Path, name: str) -> None:
    write_csv(tmp_path, "path, Breed ,label\na.jpg,pug,dog\n")
    write_parquet(tmp_path, {"path": ["a.jpg"], " Breed ": ["pug"], "label": ["dog"]})
    url = str(tmp_path / name)
    listed = list_images(ROOT, url, label_column="BREED")
    assert listed.values("path", "label") == [("a.jpg", "pug")]
    assert (listed.summary.used_columns, listed.summary.unknown_columns) == (("label",), ("label",))
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url, label_column="race")
    breed = "'Breed '" if name == "list.csv" else "' Breed '"
    assert str(caught.value) == (
        f"{url}: has no column race; it has 'path', {breed}, 'label'. Correct "
        "preprocess.label_column"
    )


def test_back_slashes_beside_slashes_are_part_of_a_name_and_are_told(tmp_path: Path) -> None:
    url = write_csv(tmp_path, "path,label\na/1.jpg,x\nb\\2.jpg,y\n")
    assert rows(url) == [("a/1.jpg", "x", ""), ("b\\2.jpg", "y", "")]
    assert list_images(ROOT, url).summary.notes == (
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
        ("https://", "https://host/cat/1.jpg?size=2", "host/cat/1.jpg?size=2"),
        ("https://", "http://host/cat/1.jpg", None),
        ("https://host/cat", "https://host/cat/1.jpg", "1.jpg"),
        ("https://host/cat", "https://host/1.jpg", None),
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
    files = list_images(ROOT, write_parquet(tmp_path, columns)).rows
    assert files["label"].to_pylist() == ["7", "8", ""]
    assert files["size_bytes"].to_pylist() == [5, 6, -1]


def test_a_column_that_cannot_be_converted_is_an_error(tmp_path: Path) -> None:
    url = write_parquet(tmp_path, {"path": ["1.jpg"], "size_bytes": ["small"]})
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url)
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
        list_images(ROOT, url)
    assert str(caught.value) == f"{url}: {message}"


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        list_images(ROOT, f"{tmp_path}/nowhere.csv")
    assert str(caught.value) == f"{tmp_path}/nowhere.csv: no such file; check preprocess.catalogue"


def test_an_invalid_parquet_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "list.parquet").write_text("path\n")
    with pytest.raises(InputError, match=r"list\.parquet: neither Parquet nor CSV: "):
        list_images(ROOT, str(tmp_path / "list.parquet"))
