"""A version from notifications is the one of a full listing: on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import cv2
import pytest
from pyspark.sql import SparkSession

from conftest import small_config, stripes
from halftone import storage
from halftone.config import Config
from halftone.dataset.manifest import Manifest, publish_manifest, read_manifest
from halftone.errors import InputError
from halftone.preprocess.run import preprocess
from object_store import BUCKET, GCS, ObjectStore, served

IMAGES = f"gs://{BUCKET}/images"
LABELS = ("lying", "upright")
needs_server = pytest.mark.needs("fake-gcs-server")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    # Of no credentials, which the workers of a session that runs already would not have.
    with served(tmp_path_factory.mktemp("gcs"), GCS) as object_store:
        yield object_store


def png(kind: int, number: int) -> bytes:
    return bytes(cv2.imencode(".png", stripes(kind, seed=1000 * kind + number))[1])


def event(key: str, kind: str = "OBJECT_FINALIZE", bucket: str = BUCKET) -> dict[str, Any]:
    attributes = {"eventType": kind, "bucketId": bucket, "objectId": f"images/{key}"}
    return {"message": {"attributes": attributes, "data": "e30="}}


class Bucket:
    """The images of a bucket, and two datasets of them: of listings, and of notifications."""

    def __init__(self, store: ObjectStore, folder: Path, spark: SparkSession) -> None:
        self.store, self.folder, self.spark = store, folder, spark
        self.events = folder / "events"
        self.events.mkdir()
        storage.remove(IMAGES)
        self.put({f"{LABELS[n % 2]}/{n:02d} ü.png": png(n % 2, n) for n in range(24)})
        self.put({"lying/copy.png": png(0, 0), "upright/broken.png": b"\x89PNG", "notes.txt": b"-"})

    def put(self, images: dict[str, bytes]) -> None:
        self.store.put({f"images/{key}": content for key, content in images.items()})

    def delete(self, *keys: str) -> None:
        for key in keys:
            storage.remove(f"{IMAGES}/{key}")

    def notify(self, name: str, *events: dict[str, Any]) -> None:
        text = "".join(f"{json.dumps(one)}\n" for one in events)
        (self.events / name).write_text(text)

    def run(self, dataset: str, changes: str = "", **settings: Any) -> Manifest:
        prune = settings.pop("prune", False)
        config = self.config(changes, **settings)
        session: Callable[[], SparkSession] = lambda: self.spark  # noqa: E731
        folder = str(self.folder / dataset)
        return preprocess(config, IMAGES, folder, session, prune=prune).manifest

    def config(self, changes: str, **settings: Any) -> Config:
        config = small_config(preprocess={"max_reject_fraction": 0.9, **settings})
        paths = config.paths.model_copy(update={"changes": changes or None})
        return config.model_copy(update={"paths": paths})

    def listings(self) -> list[str]:
        """Return the requests that list the folder of images."""
        return [
            target
            for _, target, _ in self.store.proxy.requests
            if "/o?" in target and "prefix=images" in target
        ]


@pytest.fixture
def bucket(store: ObjectStore, tmp_path: Path, spark: SparkSession) -> Bucket:
    return Bucket(store, tmp_path, spark)


def comparable(made: Manifest) -> dict[str, Any]:
    """Return what must be the same however the images were found."""
    names = ("fingerprint", "images_digest", "inputs", "rows", "rejects", "duplicates", "gone")
    return {
        name: getattr(made, name) for name in (*names, "counts", "rejects_by_reason", "ignored")
    }


@needs_server
@pytest.mark.slow
@pytest.mark.parametrize("prune", [False, True])
def test_the_version_is_that_of_a_full_listing(bucket: Bucket, prune: bool) -> None:
    listed, named = bucket.run("listed"), bucket.run("named")
    assert comparable(listed) == comparable(named)
    # New, changed, deleted, and created and deleted again; the kept row of a duplicate is deleted.
    bucket.put({"lying/new #1.png": png(0, 50), "upright/new.png": png(1, 51)})
    bucket.put({"lying/02 ü.png": png(0, 52), "upright/broken.png": png(1, 53)})
    bucket.delete("lying/00 ü.png", "upright/05 ü.png")
    bucket.notify(
        "one.jsonl",
        event("upright/05 ü.png", "OBJECT_DELETE"),
        event("lying/00 ü.png", "OBJECT_DELETE"),
        event("lying/new #1.png"),
        event("other.jpg", bucket="another"),
    )
    bucket.notify(
        "two.jsonl",
        # Told twice, out of order, and of an object that has not changed.
        event("lying/00 ü.png"),
        event("lying/new #1.png"),
        event("upright/new.png"),
        event("lying/02 ü.png"),
        event("upright/broken.png"),
        event("upright/07 ü.png"),
        event("lying/never.png", "OBJECT_DELETE"),
    )
    listed = bucket.run("listed", prune=prune)
    assert bucket.listings()
    bucket.store.proxy.requests.clear()
    named = bucket.run("named", str(bucket.events), prune=prune)
    assert bucket.listings() == []
    assert comparable(listed) == comparable(named)
    assert (named.version, named.inputs, named.gone) == ((2, 26, 0) if prune else (2, 28, 2))
    # A full listing finds nothing to do, and the same notifications neither.
    if prune:
        assert bucket.run("named", str(bucket.events), prune=True) == named
        assert bucket.listings() == []
    assert bucket.run("named", prune=prune).version == 2


@needs_server
@pytest.mark.slow
def test_a_full_listing_is_made_for_a_reason(
    bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.notify("one.jsonl", event("lying/new.png"))
    url = str(bucket.events / "one.jsonl")
    first = bucket.run("named", url)
    assert (
        f"a full listing instead of {url}: there is no previous version" in capsys.readouterr().err
    )
    assert (first.version, first.inputs) == (1, 26)
    bucket.put({"lying/told.png": png(0, 60), "lying/new.png": png(0, 61)})
    second = bucket.run("named", url)  # of two new images one is named
    assert f"{url}: names 1 objects below {IMAGES}" in capsys.readouterr().err
    assert (second.version, second.inputs, second.listed) == (2, 27, first.listed)
    old = datetime.now(timezone.utc) - timedelta(days=3)
    dataset = str(bucket.folder / "named")
    publish_manifest(
        dataset, second.model_copy(update={"listed": old.isoformat(timespec="seconds")})
    )
    assert bucket.run("named", url).version == 2  # 7 days are not over
    third = bucket.run("named", url, full_listing_days=3)
    assert "and preprocess.full_listing_days is 3" in capsys.readouterr().err
    assert (third.version, third.inputs) == (3, 28)
    assert third.listed > second.listed
    assert read_manifest(dataset).listed == third.listed


def test_what_has_no_notifications_is_refused(tmp_path: Path) -> None:
    config = small_config(paths={"changes": str(tmp_path)})
    with pytest.raises(InputError, match="is on no store that sends notifications"):
        preprocess(config, str(tmp_path), str(tmp_path / "out"), pytest.fail)
