"""Renders a page in headless Chromium."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# The page in an iframe of a given width, which media queries in the page apply to.
_FRAME = """<!DOCTYPE html><meta charset="utf-8"><body>
<iframe style="border: 0; width: {width}px; height: 900px" srcdoc="{page}"></iframe>
<script>onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  const images = [...page.images];
  document.body.outerHTML = "<pre>" + JSON.stringify({measured}) + "</pre>";
}}</script>"""
_LAYOUT = """{
    beyond: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    images: images.length,
    broken: images.filter((image) => !image.complete || !image.naturalWidth).length,
    sections: page.querySelectorAll("section").length,
  }"""
_BOXES = """[...page.querySelectorAll("{selector}")].map((element) => {{
    const box = element.getBoundingClientRect();
    return {{text: element.innerText, right_px: box.right, width_px: box.width}};
  }})"""


def measure_layout(page: str, width: int, tmp_path: Path) -> dict[str, Any]:
    """Return how far a page of that width overflows its window, in px, and what it contains."""
    layout: dict[str, Any] = _measure(page, width, _LAYOUT, tmp_path)
    return layout


def measure_boxes(page: str, width: int, selector: str, tmp_path: Path) -> list[dict[str, Any]]:
    """Return text, right edge and width, in px, of the elements of a page of that width."""
    boxes: list[dict[str, Any]] = _measure(page, width, _BOXES.format(selector=selector), tmp_path)
    return boxes


def _measure(page: str, width: int, measured: str, tmp_path: Path) -> Any:
    frame = _FRAME.format(width=width, page=html.escape(page), measured=measured)
    dom, _ = browse(frame, tmp_path)
    return json.loads(html.unescape(re.findall(r"<pre>(.*)</pre>", dom)[0]))


def list_page_requests(tmp_path: Path) -> list[str]:
    """Return the URLs that the page requested; requests of the browser itself have no origin."""
    log = json.loads((tmp_path / "net.json").read_text())
    start = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    requests = [event["params"] for event in log["events"] if event["type"] == start]
    return [
        request["url"]
        for request in requests
        if request.get("initiator", "not an origin") != "not an origin"
        and not request["url"].startswith(("data:", "file:"))
    ]


def browse(page: str, tmp_path: Path) -> tuple[str, str]:
    """Load a page; return the DOM as HTML, and the log of the browser."""
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    run = subprocess.run(
        [
            str(CHROMIUM),
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--disable-component-update", "--disable-sync", "--no-first-run"),
            *("--enable-logging=stderr", "--window-size=1400,1000"),
            f"--user-data-dir={tmp_path / 'browser'}",
            f"--log-net-log={tmp_path / 'net.json'}",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout, run.stderr
