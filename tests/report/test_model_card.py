"""The model card, before and after the model is scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import browser
import card_pages
from halftone.card import page
from halftone.config import CardSettings, Config, config_from_mapping
from halftone.metrics.summarise import wilson_interval
from halftone.report.model_card import ModelCardInputs, render_model_card
from report_pages import (
    FACES,
    HOSTILE,
    HUNDRED,
    TEN,
    a_card,
    a_history,
    a_manifest,
    full_metrics,
    old_metrics,
    spread,
)

CONFIG = config_from_mapping(
    {"name": "faces", "seed": 3, "train": {"epochs": 5, "model": {"name": "mlp"}}}, "test"
)
TEXTS = CardSettings(licence="mit", intended_use="Sorting.", limitations="Only faces.")


def inputs(labels: list[str] = FACES, **changes: Any) -> ModelCardInputs:
    info = changes.pop("info", {})
    values: dict[str, Any] = {
        "model_info": a_card(labels, **{"config": CONFIG, **info}),
        "history": a_history(5),
        "manifest": a_manifest(labels),
        "card": TEXTS,
    }
    return ModelCardInputs(**{**values, **changes})


CARD = """\
---
license: mit
library_name: keras
pipeline_tag: image-classification
tags:
- halftone
- image-classification
---

# Model card: faces

Version `f3549667dfd5a49a` tells 2 classes of images apart: comics, faces. Halftone 0.1.0 \
trained it on 2024-05-04. It is not tested yet: the numbers below are of the validation split.

## Intended use

Sorting.

## Model

- network: a network of dense layers (`train.model.name: mlp`), from uint8 pixels to a probability \
of each class
- input: 64 x 64 px (height x width), grey, uint8; images are stretched to this size, which \
distorts other aspect ratios (fit: stretch); stored as raw
- parameters: 12,345
- file: `network-f3549667dfd5a49a.keras`, 2.0 MiB, which Keras 2.15 loads
- licence: mit
- contact: not stated (`card.contact`)

## Results on the validation split

| measure | train | validation | interval |
| --- | ---: | ---: | ---: |
| Accuracy | 0.8667 | 0.8333 | 0.7773 to 0.8800 |
| Loss (cross-entropy, nats) | 0.3333 | 0.5000 | n/a |

The model is that of epoch 3, chosen by the validation images: expect slightly lower numbers on \
others. The numbers of the train split are measured while its weights change.

## Data

Training, validation and test images are of one dataset, made from `/data/images`: version 1, \
fingerprint `d47f2ba86d75`, 4,200 rows, 0 rejects, 0 duplicates. Its data card is `data_card.md`.

| class | train | validation | test | rows |
| --- | ---: | ---: | ---: | ---: |
| comics | 1,800 | 100 | 200 | 2,100 |
| faces | 1,800 | 100 | 200 | 2,100 |
| all | 3,600 | 200 | 400 | 4,200 |

## Known limits

Only faces.

The numbers show no others.

## How it was made

- best epoch: 3 of 5; 2 ranks, 1 min 10 s, batch 64, optimizer adam
- training images: 3,600
- versions: Halftone 0.1.0, Python 3.11.7, TensorFlow 2.15.1

This config and the commands below make it again. It holds the settings that differ from the \
defaults.

```yaml
name: faces
seed: 3
train:
  model:
    name: mlp
  epochs: 5
```

```sh
python jobs/preprocess.py --config FILE
python jobs/train.py --config FILE
python jobs/score.py --config FILE
```
"""


def test_the_card_of_a_training() -> None:
    info = {
        "ranks": 2,
        "num_parameters": 12345,
        "network_bytes": 2 * 2**20,
        "versions": {"python": "3.11.7", "tensorflow": "2.15.1"},
    }
    files = [
        {"path": f"{split}/a", "split": split, "rows": rows, "size_bytes": 9, "digest": split}
        for split, rows in (("train", 3600), ("validation", 200))
    ]
    text = render_model_card(inputs(info=info, manifest=a_manifest(FACES, files=files)))
    assert text == CARD


def metadata(text: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return content


def test_a_scored_model_has_test_metrics_with_intervals() -> None:
    scores = old_metrics(spread(2), FACES)
    text = render_model_card(inputs(scores=scores))
    low, high = wilson_interval(360, 400)
    assert (
        "It is right for **90.00%** of 400 images of the test split (95 % interval: "
        f"{100 * low:.2f}% to {100 * high:.2f}%); always answering comics would be right for "
        "50.00%."
    ) in text
    assert f"| Accuracy | 0.9000 | {low:.4f} to {high:.4f} |" in text
    low, high = wilson_interval(180, 200)
    row = f"| comics | 0.9000 | 0.9000 | 0.9000 | 200 | {low:.4f} to {high:.4f} |"
    assert row in text
    assert text.index("## Results on the test split") < text.index("## Results on the validation")
    (entry,) = metadata(text)["model-index"]
    assert entry["results"][0]["dataset"] == {
        "name": "faces d47f2ba86d75",
        "type": "faces",
        "split": "test",
    }
    assert entry["results"][0]["metrics"] == [
        {"type": name, "value": 0.9} for name in ("accuracy", "precision", "recall", "f1")
    ]


def test_threshold_temperature_and_views_are_stated() -> None:
    scores = full_metrics(FACES, threshold=("best_f1", 0.4), temperature=1.5, views="flip")
    text = render_model_card(inputs(scores=scores))
    assert "from a probability of 0.4000 on: where F1 is best on the validation split." in text
    assert "Probabilities are scaled by a temperature of 1.5000" in text
    assert "means over views of each image: the image and its mirror image." in text


def test_the_page_shows_hostile_names() -> None:
    scores = old_metrics(spread(2), HOSTILE)
    shown = card_pages.read(render_model_card(inputs(HOSTILE, scores=scores)))
    assert not {"script", "a", "img", "em", "b"} & set(shown.tags)
    assert set(HOSTILE) <= set(shown.texts("td"))


def test_of_many_classes_the_weakest_are_shown() -> None:
    text = render_model_card(inputs(HUNDRED, scores=full_metrics(HUNDRED)))
    assert "These are the 20 classes of the lowest F1 of 100; `metrics.json` has all." in text
    assert "class 00, class 01" in text
    assert "class 19 and 80 more." in text
    assert len(text.splitlines()) < 220


def test_images_of_another_dataset_are_named() -> None:
    other = a_manifest(FACES, fingerprint="0ther", seed=9, images="/other")
    scores = old_metrics(spread(2), FACES, fingerprint="0ther")
    text = render_model_card(inputs(manifest=other, scores=scores))
    assert "The model was trained on the dataset with the fingerprint `d47f2ba86d75`" in text
    assert "The scored images are of another dataset, made from `/other`" in text
    assert (
        "- The model was trained on another dataset with other splits: some of these images may "
        "be among its training images."
    ) in text
    assert "| Accuracy | 0.8667 | 0.8333 | n/a |" in text  # its validation rows are not known


def test_a_training_without_validation_and_of_an_older_version() -> None:
    text = render_model_card(inputs(history=a_history(5, validation=False), card=CardSettings()))
    assert "| Accuracy | 0.8667 | n/a | n/a |" in text
    assert "The model is that of epoch 3. The numbers of the train split" in text
    assert "parameters" not in text
    assert "license" not in metadata(text)
    assert "not stated (`card.intended_use`)" in text


def test_equal_inputs_give_equal_texts() -> None:
    first, second = (
        render_model_card(inputs(scores=full_metrics(FACES), card=Config().card)) for _ in range(2)
    )
    assert first == second


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_browser(width: int, tmp_path: Path) -> None:
    scores = full_metrics([*HOSTILE, *TEN])
    text = page.render_page(render_model_card(inputs([*HOSTILE, *TEN], scores=scores)))
    assert browser.measure_layout(text, width, tmp_path)["beyond"] == 0
