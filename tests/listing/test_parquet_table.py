from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halftone.errors import InputError
from halftone.listing import parquet_table
from halftone.listing.parquet_table import ParquetPart, plan_parts
from listed import list_images

ROOT = "/data/images"
MIB = 2**20


def write_folder(folder: Path, **files: dict[str, object]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns in files.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", row_group_size=2)
    return str(folder)


@pytest.mark.parametrize("name", ["table", "table.parquet"])
def test_a_folder_of_parquet_files_is_one_table(tmp_path: Path, name: str) -> None:
    url = write_folder(
        tmp_path / name,
        b={"path": ["3.jpg"], "label": ["x"], "group": [None]},
        a={"path": [f"{ROOT}/1.jpg", "2.jpg"], "label": ["x", "y"], "group": ["g", None]},
    )
    for other in ("_SUCCESS", ".part.crc", "_committed_1"):
        (tmp_path / name / other).write_text("")
    listed = list_images(ROOT, url)
    assert listed.values("path", "label", "group") == [
        ("1.jpg", "x", "g"),
        ("2.jpg", "y", ""),
        ("3.jpg", "x", ""),
    ]
    assert listed.num_units == 1
    assert listed.summary == (3, 0, {}, ("label", "group"), (), ())


def test_a_large_file_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"{number}.jpg" for number in range(13)]
    url = f"{write_folder(tmp_path, table={'path': paths})}/table.parquet"
    monkeypatch.setattr(parquet_table, "_UNIT_BYTES", 300)
    listed = list_images(ROOT, url)
    assert listed.num_units > 3
    assert listed.paths == paths
    broken = [*paths[:9], None, *paths[10:]]
    write_folder(tmp_path, table={"path": broken})
    with pytest.raises(InputError, match=r"table\.parquet: row 10 has no path$"):
        list_images(ROOT, url)


def test_small_files_share_a_unit_and_large_files_have_several() -> None:
    files = [("a", 10 * MIB), ("b", 54 * MIB), ("c", MIB), ("d", 129 * MIB), ("e", 0)]
    assert plan_parts(files) == [
        [ParquetPart("a", 0, 1), ParquetPart("b", 0, 1)],
        [ParquetPart("c", 0, 1)],
        [ParquetPart("d", 0, 3)],
        [ParquetPart("d", 1, 3)],
        [ParquetPart("d", 2, 3)],
        [ParquetPart("e", 0, 1)],
    ]


def test_files_with_other_columns_are_an_error(tmp_path: Path) -> None:
    url = write_folder(
        tmp_path / "t", a={"path": ["1.jpg"], "label": ["x"]}, b={"path": ["2.jpg"], "tag": [1]}
    )
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url)
    assert str(caught.value) == (
        f"{url}/b.parquet: has the columns path, and another file of the table label, path; write "
        "all files with the same columns"
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("_delta_log/0.json", "is a Delta table whose log has no version"),
        ("label=cat/1.parquet", "is partitioned: label=cat/1.parquet has a column in the name of "
         "its folder; write it without partitions"),
        ("1.csv", "contains 1.csv, whose name does not end in .parquet"),
        ("_SUCCESS", "has no Parquet files, whose names end in .parquet"),
    ],
)  # fmt: skip
def test_other_folders_are_an_error(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "t" / path).parent.mkdir(parents=True)
    (tmp_path / "t" / path).write_text("")
    with pytest.raises(InputError) as caught:
        list_images(ROOT, f"{tmp_path}/t")
    assert str(caught.value) == f"{tmp_path}/t: {message}"
