"""The data card of a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import browser
import card_pages
import example_manifest
from halftone.card import page
from halftone.card.data_card import render_data_card
from halftone.config import CardSettings, PixelSpec, PreprocessSettings, SplitSettings
from halftone.dataset.manifest import Manifest
from report_pages import HOSTILE, HUNDRED, a_manifest

CARD = """\
---
license: cc0-1.0
pretty_name: images
task_categories:
- image-classification
size_categories:
- n<1K
---

# Data card: images

3 images of 2 classes, version 1 of the dataset, fingerprint `f`, made by Halftone 0.1.0 on \
2026-01-02.

## Uses

Sorting.

## Licence and contact

Licence of the images: cc0-1.0

Contact: not stated (`card.contact`)

## Composition

| class | train | test | rows |
| --- | ---: | ---: | ---: |
| cat | 1 | 1 | 2 |
| dog | 1 | 0 | 1 |
| all | 2 | 1 | 3 |

4 images = 3 rows + 1 rejects + 0 duplicates (files with the same bytes as a row).

0 near duplicates of images of an earlier split.

| rejected because | images |
| --- | ---: |
| empty | 1 |

Files that are not images by their name, which were not read: 1 .md.

## Collection and processing

- source: `/images`, read recursively
- labels: the group of the regular expression `([^/]+)/[^/]+$` in the path
- splits: each image by a hash of its name and the seed 7, 10% validation and 10% test
- pixels: 8 x 4 px (height x width), RGB, uint8; images are stretched to this size, which distorts \
other aspect ratios (fit: stretch); stored as raw

## Known limits

- the test split has 1 rows: differences between models are hard to measure with fewer than 400
- classes with fewer than 30 train rows, whose numbers depend on chance: cat (1), dog (1)
- classes with fewer than 30 test rows, whose numbers depend on chance: cat (1)
- classes with no test rows, so they are not measured: dog

## Make it again

From the same images, this config gives a dataset with the same fingerprint:

```yaml
seed: 7
paths:
  images: /images
pixels:
  height_px: 8
  width_px: 4
  channels: 3
```

```sh
python jobs/preprocess.py --config FILE --output FOLDER
```
"""


def changed(**changes: Any) -> Manifest:
    return example_manifest.example().model_copy(update=changes)


def test_the_card() -> None:
    card = CardSettings(licence="mit", data_licence="cc0-1.0", intended_use="Sorting.")
    assert render_data_card(changed(card=card)) == CARD


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"near_duplicates": 5, "possible_label_errors": 1},
            "5 near duplicates of images of an earlier split, kept.",
        ),
        (
            {
                "near_duplicates": 5,
                "possible_label_errors": 1,
                "preprocess": PreprocessSettings(near_duplicates="drop"),
            },
            "5 near duplicates of images of an earlier split, 4 of them dropped.",
        ),
        (
            {"pixels": PixelSpec(encoding="jpeg", jpeg_quality=90, fit="pad")},
            "scaled, then padded with margins (fit: pad); stored as jpeg of quality 90",
        ),
        (
            {"splits": SplitSettings(group_by="(.)", folds=5, fold=2)},
            "- splits: each group of images by a hash of its name and the seed 7, 10% validation "
            "and 10% test, validation is fold 2 of 5",
        ),
        (
            {"split_salts": {"cat": 3, "gone": 7}},
            "- splits: each image by a hash of its name and the seed 7, 10% validation and 10% "
            "test, stratified for 1 of 2 classes\n",
        ),
        (
            {"split_salts": {"cat": 3}},
            "```\n\nImages of the stratified classes get their splits by the images that each "
            "class had when it was new: from images that arrived later, a dataset that is made at "
            "once may have other splits of these classes.\n",
        ),
        (
            {"splits": SplitSettings(from_path="^([^/]+)/")},
            "- splits: predefined, found in the path by `^([^/]+)/`; the others, each image by",
        ),
        (
            {
                "used_columns": ["label", "split"],
                "preprocess": PreprocessSettings(catalogue="s3://b/list.csv"),
            },
            "- labels: the column `label` of `s3://b/list.csv`\n"
            "- splits: the column `split` of `s3://b/list.csv`",
        ),
        (
            {"card": CardSettings(limitations="Old scans.")},
            "## Known limits\n\nOld scans.\n\n- the",
        ),
    ],
)
def test_a_part_of_the_card(changes: dict[str, Any], text: str) -> None:
    assert text in render_data_card(changed(**changes))


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (60_000, "10K<n<100K"),
        (1_300_000, "1M<n<10M"),
        (200_000_000, "100M<n<1B"),
    ],
)
def test_the_size_category_of_hugging_face(rows: int, category: str) -> None:
    text = render_data_card(changed(rows=rows))
    assert yaml.safe_load(text.split("---\n")[1])["size_categories"] == [category]


def test_of_many_classes_the_largest_and_smallest_are_shown() -> None:
    text = render_data_card(a_manifest(HUNDRED))
    assert (
        "These are the 10 largest and the 10 smallest of 100 classes; `manifest.json` has all."
    ) in text
    assert len(text.splitlines()) < 100


def test_the_page_shows_hostile_names() -> None:
    data = a_manifest(HOSTILE, images="/data/<b>`|_x_", ignored={".<i>": 1})
    shown = card_pages.read(render_data_card(data))
    assert not {"script", "a", "img", "em", "b", "i"} & set(shown.tags)
    assert shown.texts("h1") == ["Data card: <b>`|_x_"]
    assert set(HOSTILE) <= set(shown.texts("td"))


@pytest.mark.slow
@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_browser(width: int, tmp_path: Path) -> None:
    text = page.render_page(render_data_card(a_manifest(HOSTILE, images="/data/" + "long/" * 40)))
    assert browser.measure_layout(text, width, tmp_path)["beyond"] == 0
    _, complaints = browser.browse(text, tmp_path)
    assert "CONSOLE" not in complaints
