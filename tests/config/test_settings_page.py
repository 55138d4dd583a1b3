from __future__ import annotations

import re
from pathlib import Path

import pytest

from halftone import config
from halftone.config.keys import known_settings
from halftone.config.settings_examples import EXAMPLES
from halftone.config.settings_page import settings_page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
TEXT = settings_page()


def test_the_file_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == TEXT, (
        "run: python -m halftone.config.settings_page > docs/reference/settings.md"
    )


def test_every_setting_has_one_row_and_an_anchor_of_its_own() -> None:
    anchors = re.findall(r'<a id="([^"]+)"></a>', TEXT)
    assert len(anchors) == len(set(anchors))
    rows = re.findall(r'^\| <a id="[^"]+"></a>`', TEXT, re.MULTILINE)
    assert len(rows) == len(known_settings())
    assert {"train", "train.epochs", "train.model.mlp.hidden", "train.model.head.dense"} <= {
        *anchors
    }


def row(anchor: str) -> list[str]:
    (line,) = (line for line in TEXT.split("\n") if line.startswith(f'| <a id="{anchor}"></a>'))
    return [cell.strip() for cell in line.split(" | ")][1:4]


@pytest.mark.parametrize(
    ("anchor", "cells"),
    [
        ("config.seed", ["whole number", "`0`", "from 0 to 2,147,483,647"]),
        ("train.label_smoothing", ["number", "`0.0`", "from 0 and below 1"]),
        ("train.learning_rate", ["number", "`0.001`", "above 0"]),
        ("train.shuffle", ["true or false", "`true`", ""]),
        ("train.optimizer", ["word", "`adam`", "`adam`, `adamw`, `sgd`"]),
        ("train.patience", ["whole number", "not set", "from 1"]),
        ("train.freeze", ["word or whole number", "`none`", "`none`, `all`; from 1"]),
        ("train.model.convnet.filters", ["list of whole numbers", "`[32, 32]`", "from 1"]),
        (
            "train.model.mlp.dropout",
            ["number or list of numbers", "`0.0`", "from 0 and below 1"],
        ),
        ("train.model.custom.build", ["text", "required", ""]),
        ("pixels.channels", ["number", "`1`", "`1`, `3`"]),
        ("spark.conf", ["mapping", "`{}`", ""]),
    ],
)
def test_type_default_and_range(anchor: str, cells: list[str]) -> None:
    assert row(anchor) == cells


@pytest.mark.parametrize("anchor", EXAMPLES)
def test_an_example_is_a_config(anchor: str, tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(EXAMPLES[anchor])
    assert config.load_config(str(path)) != config.Config()
