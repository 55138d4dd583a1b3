"""Settings in README.md and docs/ are settings of the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from doc_blocks import PAGES, ROOT, Block, read_blocks
from halftone import config
from halftone.config.families import FAMILIES

# Not spark: Spark has settings of the same name.
SECTIONS = "|".join(set(config.Config.model_fields) - {"name", "seed", "spark"})
# Such as `train.epochs`, also with a value: `--set train.epochs=3`, `pixels.fit: crop`.
KEY = re.compile(rf"`(?:--set )?((?:{SECTIONS})\.[a-z_]+(?:\.[a-z_]+)*)(?=[=:`\s])")
# A file of another program has <!-- not a config: WHAT --> on the line before its block.
BLOCKS = [
    block
    for page in PAGES
    for block in read_blocks(page)
    if block.language == "yaml" and not block.mark.startswith("not a config: ")
]


def is_setting(key: str) -> bool:
    sections: list[Any] = [config.Config]
    for part in key.split("."):
        fields = [one.model_fields[part] for one in sections if part in one.model_fields]
        if not fields:
            return False
        if key.startswith("train.model") and part == "model":
            sections = list(FAMILIES.values())
        else:
            kinds = [field.annotation for field in fields]
            # What a dict has, such as storage.options.s3, is not described by fields.
            if not all(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds):
                return True
            sections = kinds
    return True


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
def test_a_block_of_yaml_is_a_part_of_a_config(block: Block) -> None:
    config.config_from_mapping(yaml.safe_load(block.text), f"{block.page}:{block.line}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_settings_that_exist(page: Path) -> None:
    keys = KEY.findall(page.read_text(encoding="utf-8"))
    assert [key for key in keys if not is_setting(key)] == []


def test_settings_are_told_from_mistakes() -> None:
    right = ("train.epochs", "train.model.filters", "retrain.gate.floor", "storage.options")
    assert all(map(is_setting, right))
    wrong = ("train.epoch", "train.model.filter", "retrain.gates.floor", "preprocess.validation")
    assert not any(map(is_setting, wrong))
    assert KEY.findall(
        "`train.epochs`, `--set score.views=flip`, `train.py` `pixels.fit: crop`"
    ) == [
        "train.epochs",
        "score.views",
        "train.py",
        "pixels.fit",
    ]
