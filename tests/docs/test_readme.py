"""README's commands for the user's own images, and the tutorial's comparison of two trainings."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from doc_blocks import ROOT, Command, read_commands
from halftone import config
from job_runs import environment


def own_images() -> list[Command]:
    """The commands of README.md that name conf/mine.yaml."""
    return [one for one in read_commands(ROOT / "README.md") if "conf/mine.yaml" in one.words]


def comparison() -> list[Command]:
    """The commands of the tutorial for a second model, and for the scores of both."""
    page = ROOT / "docs" / "tutorial" / "faces.md"
    return [one for one in read_commands(page) if "out/demo/model-5" in one.words]


def test_own_images_are_not_mixed_with_the_demo() -> None:
    demo, mine = (
        config.load_config(str(ROOT / "conf" / name)).paths.model_dump(exclude_none=True)
        for name in ("local.yaml", "mine.yaml")
    )
    assert sorted(mine) == ["dataset", "model", "scores"]
    assert [path for path in mine.values() if not path.startswith("out/mine/")] == []
    assert [path for path in demo.values() if not path.startswith("out/demo/")] == []
    # Nor does a page give the demo's config images of the user's own.
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    commands = [command for page in pages for command in read_commands(page)]
    mixed = [one for one in commands if {"conf/local.yaml", "--input"} <= set(one.words)]
    assert mixed == []


def test_settings_that_are_off_in_the_config_for_own_images_are_valid() -> None:
    """Each line that begins with `# key: value` can be turned on by itself."""
    lines = (ROOT / "conf" / "mine.yaml").read_text().splitlines()
    start = lines.index("name: mine")
    tried = 0
    for number in range(start, len(lines)):
        bare = lines[number].lstrip()
        if not bare.startswith("# "):
            continue
        indent = lines[number][: -len(bare)]
        on = [*lines[:number], indent + bare[2:], *lines[number + 1 :]]
        config.config_from_mapping(yaml.safe_load("\n".join(on)), lines[number])
        tried += 1
    assert tried == 10


@pytest.mark.slow
def test_own_images(tmp_path: Path) -> None:
    """Six jobs, each as the pages have it, but for the number of images, of epochs and of cores."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    mine = tmp_path / "conf" / "mine.yaml"
    text = mine.read_text().replace("epochs: 30\n", "epochs: 2\n")
    mine.write_text(text + "spark:\n  master: local[1, 4]\n")
    names = {
        "DIR": "images",
        "new/": "images/faces",
        "conf/local.yaml": "conf/mine.yaml",
        "train.epochs=5": "train.epochs=1",
    }

    def run(*words: str) -> str:
        words = tuple(names.get(word, word.replace("out/demo", "out/mine")) for word in words)
        script = [str(ROOT / word) if word.startswith("jobs/") else word for word in words]
        done = subprocess.run(
            [sys.executable, *script[1:]],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()[-1]

    run(*["python", "-m", "halftone.sample", "--output", "images", "--pairs", "40", "--seed", "7"])
    assert [run(*command.words) for command in [*own_images(), *comparison()]] == [
        "dataset: out/mine/dataset",
        "model: out/mine/model",
        "scores: out/mine/scores",
        "scores: out/mine/new",
        "model: out/mine/model-5",
        "scores: out/mine/scores-5",
    ]
    new = json.loads((tmp_path / "out" / "mine" / "new" / "metrics.json").read_text())
    assert new["inputs"] == len(list((tmp_path / "images" / "faces").iterdir()))
    assert "out/mine/scores" in (tmp_path / "out/mine/scores-5/report.html").read_text()
