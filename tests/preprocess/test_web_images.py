"""A list of URLs as a dataset, from a real server on 127.0.0.1."""

from __future__ import annotations

import functools
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from conftest import DrawImages, small_config
from halftone.errors import InputError
from halftone.listing import plan_listing
from halftone.preprocess.run import preprocess


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host(draw_images: DrawImages) -> Iterator[str]:
    """The host that serves 8 images."""
    handler = functools.partial(QuietHandler, directory=str(draw_images(each=4)))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_urls_become_rows_and_what_fails_becomes_rejects(
    spark: SparkSession, host: str, tmp_path: Path
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{unused.getsockname()[1]}"
        images = tmp_path / "images"
        good = sorted(f"{host}/{p.relative_to(images)}" for p in images.rglob("*.png"))
        missing = f"{host}/lying/none.png"
        urls = [*good, missing, *(f"{dead}/{number}.png" for number in range(5))]
        catalogue = tmp_path / "urls.csv"
        # The port changes with each run, and so would the splits by hashes of the URLs.
        splits = ("train", "train", "validation", "test")
        lines = [
            f"http://{url},{number % 2},{splits[number % 4]}" for number, url in enumerate(urls)
        ]
        catalogue.write_text("\n".join(["path,label,split", *lines]))
        config = small_config(preprocess={"catalogue": str(catalogue), "max_reject_fraction": 0.5})
        made = preprocess(config, "http://", str(tmp_path / "dataset"), lambda: spark).manifest
    assert made.images == "http://"
    assert made.rejects_by_reason == {"unreadable": 6}
    files = [tmp_path / "dataset" / file.path for file in made.files or []]
    keys = [key for file in files for key in pq.read_table(file)["key"].to_pylist()]
    assert sorted(keys) == [f"http://{url}" for url in good]
    rejects = [
        row
        for path in (tmp_path / "dataset" / "rejects").rglob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    ]
    details = {row["path"]: row["detail"] for row in rejects}
    assert set(details) == {f"http://{url}" for url in urls[8:]}
    assert details[f"http://{missing}"] == "HTTP 404 File not found"
    assert all("no answer" in details[f"http://{url}"] for url in urls[9:])


def test_the_web_cannot_be_listed() -> None:
    with pytest.raises(InputError) as caught:
        plan_listing("https://", None, ["jpg"])
    assert str(caught.value) == (
        "https://: the web cannot be listed; give a table of URLs as preprocess.catalogue"
    )
