"""Chromium without a screen, and what it makes of a page."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# The page within a frame as wide as a phone or a desk; a frame has the media queries of its width.
_FRAME = """<!DOCTYPE html><meta charset="utf-8"><body>
<iframe style="border: 0; width: {width}px; height: 900px" srcdoc="{page}"></iframe>
<script>onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  const images = [...page.images];
  document.body.outerHTML = "<pre>" + JSON.stringify({{
    beyond: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    images: images.length,
    broken: images.filter((image) => !image.complete || !image.naturalWidth).length,
    sections: page.querySelectorAll("section").length,
  }}) + "</pre>";
}}</script>"""


def seen(written: str, width: int, tmp_path: Path) -> dict[str, Any]:
    """How far a page of that width reaches beyond its window, in px, and what shows on it."""
    said, _ = browse(_FRAME.format(width=width, page=html.escape(written)), tmp_path)
    found: dict[str, Any] = json.loads(re.findall(r"<pre>(.*)</pre>", said)[0])
    return found


def requests_of_the_page(tmp_path: Path) -> list[str]:
    """What the page wanted from a network. The browser's own requests are of no origin."""
    log = json.loads((tmp_path / "net.json").read_text())
    start = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [event["params"] for event in log["events"] if event["type"] == start]
    return [
        each["url"]
        for each in asked
        if each.get("initiator", "not an origin") != "not an origin"
        and not each["url"].startswith(("data:", "file:"))
    ]


def browse(written: str, tmp_path: Path) -> tuple[str, str]:
    """What the browser made of a page, as HTML, and what it wrote about it."""
    path = tmp_path / "page.html"
    path.write_text(written, encoding="utf-8")
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
