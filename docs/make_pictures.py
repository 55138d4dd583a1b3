"""Make the pictures of the documentation from real outputs: a terminal and pages in a browser.

    python docs/make_pictures.py

Each picture is of an output that the commands in docs/gallery.md make; one whose page is missing
is named, and left as it is. The terminal is recorded while the demo's jobs run, so that out/demo is
made again. Needs Chromium and rich, which ./build.sh setup installs.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from PIL import Image
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
MAX_BYTES = 150_000
DEMO = (
    "python -m halftone.sample --output out/demo/images --pairs 400 --seed 7",
    "python jobs/preprocess.py --config conf/local.yaml",
    "python jobs/train.py --config conf/local.yaml",
    "python jobs/score.py --config conf/local.yaml",
)
# The papers' experiments and the metric that their tables have.
PAPERS = {
    "mlp-to-cnn": "accuracy",
    "regularised-convnets": "accuracy",
    "random-search": "f1",
    "vgg13-bayes": "accuracy",
    "cifar10-ablation": "accuracy",
}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Page(NamedTuple):
    """A page to photograph, and the part of it that is shown."""

    name: str
    path: str
    height_px: int
    top_px: int = 0
    width_px: int = 1280


PAGES = (
    Page("report", "out/demo/scores/report.html", 860),
    Page("mistakes", "out/demo/scores/report.html", 900, top_px=2570),
    Page("new-images", "out/demo/new-scores/report.html", 900),
    Page("experiment", "out/experiments/mlp-to-cnn/index.html", 900),
    Page("retraining", "out/retrain/index.html", 900),
    Page("comparison", "out/retrain/nights/000002/comparison.html", 900),
    Page("label-errors", "out/demo/label-errors/label_errors.html", 900),
)


def draw_papers(picture: Path) -> None:
    """Draw what docs/results/ has of five papers: test figures of each run, and the papers'."""
    figure, all_axes = plt.subplots(3, 2, figsize=(11, 9.5), layout="constrained")
    for axes, (name, metric) in zip(all_axes.flat, PAPERS.items()):
        with open(ROOT / "docs" / "results" / f"{name}.csv", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if not row["run"].startswith("trial-")]
        measured = [float(row[f"test {metric}"]) for row in rows]
        axes.barh(range(len(rows)), measured, color="#7a9cc6", label="measured")
        papers = [
            (number, float(row[f"paper {metric}"]))
            for number, row in enumerate(rows)
            if row[f"paper {metric}"]
        ]
        axes.plot(*reversed([*zip(*papers)]), "D", color="#b3541e", ms=5, label="the paper's")
        axes.set_yticks(range(len(rows)), [row["run"] for row in rows], fontsize=8)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1.02), title=f"{name}: test {metric}")
    empty = all_axes.flat[len(PAPERS)]
    empty.axis("off")
    empty.legend(*axes.get_legend_handles_labels(), loc="center", frameon=False)
    figure.savefig(picture, dpi=90)
    with Image.open(picture) as image:
        image.convert("RGB").quantize(32, dither=Image.Dither.NONE).save(picture, optimize=True)


def record(commands: tuple[str, ...], picture: Path) -> None:
    """Run commands on a terminal of 100 columns, and draw what it shows at the end as SVG."""
    console = Console(record=True, width=100, file=io.StringIO(), color_system="truecolor")
    for command in commands:
        console.print(Text(f"$ {command}", style="bold"))
        lines = run_on_terminal(command).rstrip("\n").split("\n")
        console.print(Text.from_ansi("\n".join(lines)), soft_wrap=False)
        console.print()
    picture.write_text(console.export_svg(title="Halftone", font_aspect_ratio=0.61))


def run_on_terminal(command: str) -> str:
    """Return what a command has written to a terminal; each progress line as it was at its end."""
    words = command.split()
    environment = {**os.environ, "COLUMNS": "100", "LINES": "50", "TERM": "xterm-256color"}
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *words[1:]], stdout=child, stderr=child, cwd=ROOT, env=environment
    )
    os.close(child)
    output = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the other end was closed
            break
        if not part:
            break
        output += part
    if process.wait() != 0:
        sys.exit(f"{command} failed:\n{output.decode(errors='replace')}")
    text = output.decode(errors="replace").replace(str(ROOT), "~/halftone")
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)


def photograph(page: Page, picture: Path) -> None:
    """Write a part of a page as PNG with few colours, so that it is small."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        height_px = page.top_px + page.height_px
        command = [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--no-first-run", f"--user-data-dir={folder}/browser", f"--screenshot={shot}"),
            *(f"--window-size={page.width_px},{height_px}", (ROOT / page.path).as_uri()),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(shot) as image:
            part = image.convert("RGB").crop((0, page.top_px, page.width_px, height_px))
    for colors in (256, 128, 64, 32):
        part.quantize(colors, dither=Image.Dither.NONE).save(picture, optimize=True)
        if picture.stat().st_size <= MAX_BYTES:
            return
    sys.exit(f"{picture} has {picture.stat().st_size:,} bytes; show a smaller part of {page.path}")


def main() -> int:
    """Make the pictures whose outputs are there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ["demo", "papers", *(page.name for page in PAGES)]
    parser.add_argument("--only", choices=names, nargs="+", default=names, metavar="NAME")
    only = parser.parse_args().only
    PICTURES.mkdir(exist_ok=True)
    if "demo" in only:
        for stage in ("dataset", "model", "scores"):
            shutil.rmtree(ROOT / "out" / "demo" / stage, ignore_errors=True)
        record(DEMO, PICTURES / "demo.svg")
    if "papers" in only:
        draw_papers(PICTURES / "papers.png")
    missing = [page for page in PAGES if page.name in only and not (ROOT / page.path).exists()]
    for page in PAGES:
        if page.name in only and page not in missing:
            photograph(page, PICTURES / f"{page.name}.png")
    for page in missing:
        print(f"{page.name}: {page.path} is missing; docs/gallery.md has the command that makes it")
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
