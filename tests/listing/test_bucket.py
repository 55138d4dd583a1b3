from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from computed_s3 import BUCKET, ComputedKeys, served_computed_keys
from halftone import storage
from halftone.errors import InputError
from halftone.listing import key_ranges
from halftone.listing.bucket import RangedFolder
from halftone.storage import clients
from listed import list_images
from opaque_s3 import served_keys


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Invented credentials, and client options that are forgotten after a test."""
    monkeypatch.setitem(fsspec.config.conf, "s3", {})
    monkeypatch.setattr(clients, "_configured_protocols", set())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("FSSPEC_S3", "{}")
    yield
    clients._open_client.cache_clear()


def connect(endpoint_url: str) -> None:
    clients.set_options({"s3": {"endpoint_url": endpoint_url}})


@pytest.mark.parametrize("num_keys", [0, 1000, 1001, 12_345])
@pytest.mark.parametrize("folder", ["", "/images/n00000002"])
def test_ranges_give_each_key_once(num_keys: int, folder: str) -> None:
    keys = ComputedKeys(num_keys, 7)
    expected = [
        f"/{key}".removeprefix(f"{folder}/")
        for key in map(keys.key, range(num_keys))
        if f"/{key}".startswith(f"{folder}/")
    ]
    with served_computed_keys(keys) as endpoint_url:
        connect(endpoint_url)
        if not expected:
            with pytest.raises(InputError, match=r"no images among 0 files|no such folder"):
                list_images(f"s3://{BUCKET}{folder}")
            return
        listed = list_images(f"s3://{BUCKET}{folder}")
    assert listed.paths == expected
    assert listed.summary[:3] == (len(expected), 0, {})
    assert listed.num_units == (3 if len(expected) > 8000 else 1)
    assert set(listed.values("size_bytes", "modified")) == {(0, 1704164645.0)}


# Keys that a file system, a URL or a pattern would change, and keys at the ends of the alphabet.
ODD_KEYS = (
    *("/first.jpg", "cat//4.jpg", "cat/./5.jpg", "cat/../6.jpg", "..", "cat/7.jpg/", "cat/"),
    *(
        "cat/a.jpg?versionId=5",
        "cat/a?b#c.jpg",
        "cat/a%20b.jpg",
        "cat/ü 😀 +&'\".jpg",
        "cat/._8.jpg",
    ),
    *(
        "cat/a[1]*.jpg",
        "cat/a\tb.jpg",
        "cat/a\\b.jpg",
        "~.jpg",
        "\ud7ff.jpg",
        "\U0010fffd.jpg",
        "x",
    ),
    *(f"dog/{number:03d}.jpg" for number in range(40)),
)


@pytest.mark.parametrize("few_pages", [0, 8])
@pytest.mark.parametrize("folder", ["", "img/", "/img/", "a?b#c[1]/"])
def test_ranges_of_odd_keys(folder: str, few_pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ranges, "_FEW_PAGES", few_pages)
    monkeypatch.setattr(key_ranges, "_PAGES_PER_RANGE", 1)
    monkeypatch.setattr(key_ranges, "_PAGE_KEYS", 3)
    objects = {f"{folder}{key}": b"1" for key in ODD_KEYS}
    objects.update({f"{folder}cat/8.jpg": b"1", f"{folder}cat/": b""})
    if folder:
        objects[f"{folder[:-1]}x"] = b""
    with served_keys("b", objects) as endpoint_url:
        connect(endpoint_url)
        listed = list_images(f"s3://b/{folder}".removesuffix("/"), suffixes=["jpg", ""])
    assert listed.num_units > 4
    ignored = {"AppleDouble": 1, "folder marker": 1}
    assert listed.summary.ignored == {**ignored, ".jpg?versionId=5": 1}
    others = {"cat/", "cat/._8.jpg", "cat/a.jpg?versionId=5"}
    assert listed.paths == sorted({*ODD_KEYS, "cat/8.jpg"} - others)


def test_a_companion_may_be_in_another_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is AppleDouble if a file has the rest of its name; a folder with it does not count."""
    apple = b"\0\5\x16\7"
    objects = {
        **{"._a.jpg": b"1", "a.jpg": b"1", "._b.jpg": b"1", "b.jpg/c.jpg": b"1", "._d.jpg": apple},
        **{"curves.png": b"1", "history.json": b"", "x/curves.png": b"1", "x/._curves.png": b""},
    }
    monkeypatch.setattr(
        "halftone.listing.bucket.find_key_ranges",
        lambda list_page: [key_ranges.KeyRange("", "a"), key_ranges.KeyRange("a", "")],
    )
    with served_keys("b", objects) as endpoint_url:
        connect(endpoint_url)
        listed = list_images("s3://b")
    assert listed.paths == ["._b.jpg", "a.jpg", "b.jpg/c.jpg", "x/curves.png"]
    assert listed.summary.ignored == {"AppleDouble": 3, "training curves": 1, ".json": 1}


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("s3://b/nowhere", "s3://b/nowhere: no such folder; check paths.images or --input"),
        ("s3://b/a.jpg", "s3://b/a.jpg: is a file, not a folder of images; check "
         "paths.images or --input"),
        ("s3://b/other", "s3://b/other: no images among 1 files; searched at any depth for names "
         "that end in jpg, png (preprocess.suffixes)"),
    ],
)  # fmt: skip
def test_a_root_without_images_is_an_error(root: str, message: str) -> None:
    with served_keys("b", {"a.jpg": b"1", "other/x.txt": b""}) as endpoint_url:
        connect(endpoint_url)
        with pytest.raises(InputError) as caught:
            list_images(root)
    assert str(caught.value) == message


def test_a_directory_bucket_is_one_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "check_folder", lambda url: None)
    folder = RangedFolder("s3://b--use1-az4--x-s3/images", frozenset(["jpg"]))
    assert folder.plan_units() == [("", "")]


def test_another_store_is_one_unit(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}/images"
    for path in ("a/1.jpg", "a/._1.jpg", "b/2.png", "b/x.txt"):
        storage.write_bytes(f"{url}/{path}", b"12")
    listed = list_images(url)
    assert (listed.paths, listed.num_units) == (["a/1.jpg", "b/2.png"], 1)
    assert listed.summary.ignored == {"AppleDouble": 1, ".txt": 1}
    for wrong, problem in (
        (f"{url}/nowhere", "no such folder"),
        (f"{url}/a/1.jpg", "is a file, not a folder of images"),
    ):
        with pytest.raises(InputError, match=f"^{wrong}: {problem}; check paths.images or --input"):
            list_images(wrong)
