from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halftone import storage
from halftone.errors import InputError
from listed import list_images

SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag"
ROOT = "s3://pictures/images"
# Key, IsLatest, IsDeleteMarker and size of each object.
OBJECTS: tuple[tuple[str, bool, bool, Optional[int]], ...] = (
    ("images/cat/1.jpg", True, False, 5),
    ("images/cat/1.jpg", False, False, 4),
    ("images/cat/gone.jpg", True, True, None),
    ("images/cat/a+b c%20ü,\".jpg", True, False, 0),
    ("images/dog/notes.txt", True, False, 3),
    ("images/dog/", True, False, 0),
    ("images2/3.jpg", True, False, 6),
    ("other.jpg", True, False, 7),
)  # fmt: skip
TIME = datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def report_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket `reports` is a local folder; no other S3 URL can be read."""
    for name in ("read_bytes", "open_file", "open_parquet"):
        monkeypatch.setattr(storage, name, local_reader(getattr(storage, name), tmp_path))


def local_reader(read: Any, folder: Path) -> Any:
    return lambda url: read(url.replace("s3://reports", str(folder)))


def pack_csv(objects: Sequence[tuple[str, bool, bool, Optional[int]]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    for key, is_latest, is_marker, size in objects:
        flags = [str(is_latest).lower(), str(is_marker).lower()]
        time = "2024-01-02T03:04:05.000Z"
        name = quote_plus(key, safe="/")
        writer.writerow(["pictures", name, "v1", *flags, "" if size is None else size, time, "ab"])
    return gzip.compress(text.getvalue().encode())


def pack_parquet(objects: Sequence[tuple[str, bool, bool, Optional[int]]]) -> bytes:
    keys, latest, markers, sizes = map(list, zip(*objects))
    columns = {
        "bucket": ["pictures"] * len(keys),
        "key": keys,
        "version_id": ["v1"] * len(keys),
        "is_latest": latest,
        "is_delete_marker": markers,
        "size": pa.array(sizes, pa.int64()),
        "last_modified_date": pa.array([TIME] * len(keys), pa.timestamp("ms", "UTC")),
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def write_report(folder: Path, file_format: str, files: Sequence[bytes], **changes: object) -> str:
    names = [f"data/{number}" for number in range(len(files))]
    (folder / "data").mkdir()
    for name, content in zip(names, files):
        (folder / name).write_bytes(content)
    manifest = {
        "sourceBucket": "pictures",
        "destinationBucket": "arn:aws:s3:::reports",
        "version": "2016-11-30",
        "creationTimestamp": "1704164645000",
        "fileFormat": file_format,
        "fileSchema": SCHEMA if file_format == "CSV" else "message s3.inventory {}",
        "files": [{"key": name, "size": 9, "MD5checksum": "x"} for name in names],
    }
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))
    return "s3://reports/manifest.json"


@pytest.mark.parametrize(("file_format", "pack"), [("CSV", pack_csv), ("Parquet", pack_parquet)])
def test_a_report_gives_the_current_objects_below_the_folder(
    tmp_path: Path, file_format: str, pack: Any
) -> None:
    url = write_report(tmp_path, file_format, [pack(OBJECTS[:3]), pack(OBJECTS[3:])])
    listed = list_images(ROOT, url, ["jpg"])
    assert (
        sorted(listed.values("path", "size_bytes", "modified", "label", "reason"))
        == [
            ('cat/a+b c%20ü,".jpg', 0, 1704164645.0, "", ""),
            ("cat/1.jpg", 5, 1704164645.0, "", ""),
        ][::-1]
    )
    assert listed.summary == (
        2,
        0,
        {".txt": 1, "folder marker": 1},
        (),
        (),
        (f"{url}: has the images of 2024-01-02 03:04 UTC; later ones are not read",),
    )
    assert list_images("s3://pictures", url, ["jpg"]).summary.num_images == 4


def test_a_report_without_versions_sizes_and_times(tmp_path: Path) -> None:
    content = gzip.compress(b'"pictures","images/1.jpg"\n"pictures","images/2+3.jpg"\n')
    url = write_report(tmp_path, "CSV", [content], fileSchema="Bucket, Key")
    listed = list_images(ROOT, url)
    assert listed.values("path", "size_bytes", "modified") == [
        ("1.jpg", -1, 0.0),
        ("2 3.jpg", -1, 0.0),
    ]


@pytest.mark.parametrize(
    ("root", "changes", "message"),
    [
        (ROOT, {"fileFormat": "ORC"}, "the report is written as ORC; set the format of the "
         "inventory to Parquet or CSV, and give the manifest of its next report"),
        ("s3://pictures2/images", {}, "is a report of the bucket pictures; the folder of "
         "images is s3://pictures2/images, which is not in it"),
        ("/data/images", {}, "is a report of the bucket pictures; the folder of images is "
         "/data/images, which is not in it"),
        (ROOT, {"creationTimestamp": "x"}, "is no manifest of S3 Inventory (ValueError: invalid "
         "literal for int() with base 10: 'x')"),
        (ROOT, {"fileSchema": "Bucket, Size"}, "a report of S3 Inventory must have the columns "
         "Bucket and Key; it has bucket, size"),
        ("s3://pictures/none", {}, "s3://pictures/none: no images among 0 files; searched at any "
         "depth for names that end in jpg, png (preprocess.suffixes)"),
    ],
)  # fmt: skip
def test_an_unusable_report_is_an_error(
    tmp_path: Path, root: str, changes: dict[str, object], message: str
) -> None:
    url = write_report(tmp_path, "CSV", [pack_csv(OBJECTS)], **changes)
    with pytest.raises(InputError) as caught:
        list_images(root, url)
    assert str(caught.value) == f"{url}: {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"pictures,images/1.jpg\n", "is no CSV file packed with gzip: Not a gzipped file"),
        (pack_csv(OBJECTS)[:-9], "is no CSV file packed with gzip: "
         "Compressed file ended before the end-of-stream marker"),
        (gzip.compress(b"pictures,images/1.jpg\n"), "a row has 2 cells, fileSchema of "
         "s3://reports/manifest.json has 8 columns"),
    ],
    ids=["not packed", "cut off", "other columns"],
)  # fmt: skip
def test_a_damaged_file_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    url = write_report(tmp_path, "CSV", [content])
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url)
    assert str(caught.value).startswith(f"s3://reports/data/0: {message}")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    url = write_report(tmp_path, "CSV", [b""])
    (tmp_path / "data/0").unlink()
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url)
    assert str(caught.value) == (
        f"s3://reports/data/0: no such file; {url} names it. Give the manifest of a newer report"
    )
