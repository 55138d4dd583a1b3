"""Tables that give images values: which are read, and what is said of others."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halftone import arrow
from halftone.errors import InputError
from halftone.listing import VALUE_ROWS, SliceTable, open_slice_table, parquet_table, text_lines

ROOT = "/data/images"


def rows(table: SliceTable) -> list[tuple[str, list[str]]]:
    sent: SliceTable = pickle.loads(pickle.dumps(table))
    read = [some for unit in table.plan_units() for some in sent.read_unit(unit)]
    assert all(some.schema == VALUE_ROWS for some in read)
    return [row for some in read for row in arrow.iter_rows(some, *VALUE_ROWS.names)]


def test_a_csv_file(tmp_path: Path) -> None:
    url = tmp_path / "t.csv"
    url.write_text('\ufeffsite,Label, path ,size_bytes\nnorth,07,a/1.jpg,\n"a, b",,/x/2.jpg,9\n')
    table = open_slice_table(str(url), ROOT, ["label", "SITE", "size_bytes"])
    assert rows(table) == [
        (f"{ROOT}/a/1.jpg", ["07", "north", ""]),
        ("/x/2.jpg", ["", "a, b", "9"]),
    ]
    assert (table.size_bytes, table.columns) == (
        url.stat().st_size,
        ("label", "SITE", "size_bytes"),
    )
    assert table.files[0].modified == url.stat().st_mtime


def test_json_lines_and_metadata_of_an_image_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_lines, "_PART_BYTES", 40)
    url = tmp_path / "t.jsonl"
    lines = '{"path": "a/1.jpg", "Site": 3, "x": []}\n{"path": "/x/2.jpg", "site": null}\n'
    url.write_text(lines)
    table = open_slice_table(str(url), ROOT, ["site"])
    assert len(table.plan_units()) == 2
    assert rows(table) == [(f"{ROOT}/a/1.jpg", ["3"]), ("/x/2.jpg", [""])]
    for split, text in (
        ("train/metadata.csv", "file_name,site\n1.jpg,north\n"),
        ("test/metadata.jsonl", '{"file_name": "1.jpg", "site": "south"}\n'),
    ):
        (tmp_path / split).parent.mkdir()
        (tmp_path / split).write_text(text)
    table = open_slice_table(str(tmp_path), str(tmp_path), ["site"])
    assert rows(table) == [
        (f"{tmp_path}/test/1.jpg", ["south"]),
        (f"{tmp_path}/train/1.jpg", ["north"]),
    ]
    assert [file.path for file in table.files] == ["test/metadata.jsonl", "train/metadata.csv"]
    assert table.size_bytes == 67


def test_parquet_files_of_any_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    (folder / "_SUCCESS").write_text("")
    for number in range(2):
        columns = {
            "other": pa.array([[1], None, [2]]),
            "year": pa.array([2020 + number, None, 7], pa.int16()),
            "ok": pa.array([True, None, False]),
            "path": pa.array([f"{number}{name}.jpg" for name in "abc"]),
            "site": pa.array(["x", None, ""]).dictionary_encode(),
        }
        pq.write_table(pa.table(columns), folder / f"{number}.parquet", row_group_size=2)
    table = open_slice_table(str(folder), ROOT, ["site", "year", "ok"])
    expected = [
        (f"{ROOT}/{number}{name}.jpg", values)
        for number in range(2)
        for name, values in (
            ("a", ["x", str(2020 + number), "true"]),
            ("b", ["", "", ""]),
            ("c", ["", "7", "false"]),
        )
    ]
    assert rows(table) == expected
    monkeypatch.setattr(parquet_table, "_UNIT_BYTES", 900)
    assert len(table.plan_units()) > 2
    assert rows(table) == expected
    one = open_slice_table(str(folder / "1.parquet"), ROOT, ["site"])
    assert rows(one)[0] == (f"{ROOT}/1a.jpg", ["x"])
    with pytest.raises(InputError, match=r"0\.parquet: column other cannot be read as text: "):
        rows(open_slice_table(str(folder), ROOT, ["other"]))


def test_a_later_file_without_the_column_is_an_error(tmp_path: Path) -> None:
    for name, column in (("a", "site"), ("b", "place")):
        pq.write_table(pa.table({"path": ["1.jpg"], column: ["x"]}), tmp_path / f"{name}.parquet")
    table = open_slice_table(str(tmp_path), ROOT, ["site"])
    with pytest.raises(InputError, match=r"b\.parquet: has no column site; it has 'path', 'place'"):
        rows(table)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "t.csv",
            "path,site\n",
            "URL: has no column camera, lens; it has 'path', 'site'. Correct score.slices, or give "
            "another score.slice_catalogue",
        ),
        ("t.csv", "site,camera,lens\n", "URL: has no column path; it has 'site', 'camera', 'lens'"),
        ("t.csv", "path,camera,Camera\n", "URL: 2 columns have the name camera: "),
        ("t.parquet", "path,camera\n", "URL: neither Parquet nor CSV: "),
        ("manifest.json", "{}", "URL: is a report of S3 Inventory, which has no columns for "),
        ("t.lst", "0\t1\ta.jpg\n", "URL: is a .lst file, which has no columns for score.slices; "),
        ("t.json", '{"images": []}', "URL: is a file of COCO, which has no columns for score.slic"),
        ("t.manifest", "{}", "URL: is a manifest of labels, which has no columns for score.slices"),
        ("t.jsonl", '{"path": "1"}', "URL: has no column camera, lens; it has 'path'. Correct sc"),
        ("missing.jsonl", None, "URL: no such file; check score.slice_catalogue, or the catalogue"),
        ("missing.csv", None, "URL: no such file; check score.slice_catalogue, or the catalogue"),
    ],
)
def test_mistakes_are_found_when_the_table_is_opened(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    url = tmp_path / name
    if text is not None:
        url.write_text(text)
    with pytest.raises(InputError) as caught:
        open_slice_table(str(url), ROOT, ["camera", "lens"])
    assert str(caught.value).replace(str(url), "URL").startswith(message)


def test_a_row_without_a_path_is_an_error(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a", None], "site": ["x", "y"]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet: row 2 has no path$"):
        rows(open_slice_table(str(tmp_path / "t.parquet"), ROOT, ["site"]))


def test_values_of_boxes_are_found_by_their_paths_only(tmp_path: Path) -> None:
    url = tmp_path / "t.csv"
    url.write_text('path,site\n"1.jpg#xywh=1,2,3,4",north\n')
    found = rows(open_slice_table(str(url), ROOT, ["site"]))
    assert found == [(f"{ROOT}/1.jpg#xywh=1,2,3,4", ["north"])]
    url.write_text("path,x,y,width,height,site\n1.jpg,1,2,3,4,north\n")
    with pytest.raises(InputError, match="give a table with paths that end in #xywh=X,Y,WIDTH,HEI"):
        open_slice_table(str(url), ROOT, ["site"])
