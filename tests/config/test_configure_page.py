"""What docs/how-to/configure.md shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from halftone import config
from halftone.config import ConfigError, origins

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "configure.md").read_text(encoding="utf-8")
BLOCKS = [
    "\n".join(line[4:] for line in block.strip("\n").split("\n"))
    for block in re.findall(r"(?:(?:^    .*)\n)+", PAGE, re.MULTILINE)
]
ERRORS = [block.removeprefix("error: ") for block in BLOCKS if block.startswith("error: ")]


def test_first_config_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert config.load_config(str(path)).train.model == config.Convnet(filters=(16, 32, 64))


def test_resolved_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HALFTONE_TRAIN_BATCH_SIZE", "16")
    lines = origins.describe("conf/local.yaml", ["train.epochs=3"]).split("\n")
    (shown,) = (block.split("\n") for block in BLOCKS if block.startswith("train:\n"))
    assert len(shown) == 8
    assert [line for line in shown if line not in lines] == ["  ..."]


@pytest.mark.parametrize("message", ERRORS)
def test_message(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    overrides = re.findall(r"^(?:.* with )?--set (.+): 1 mistake", message)
    if not overrides:
        monkeypatch.setenv(message.partition(":")[0], "many")
    with pytest.raises(ConfigError) as caught:
        config.load_config("conf/local.yaml", overrides)
    assert str(caught.value) == message


def test_messages_are_found() -> None:
    assert len(ERRORS) == 4
