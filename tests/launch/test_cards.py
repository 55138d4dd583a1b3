"""The cards in the directory of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import saved_model
from halftone.card.files import CARD_FILES
from halftone.config import CardSettings, Config
from halftone.dataset import manifest
from halftone.launch.cards import write_cards


def test_both_cards_of_a_model(
    prepared_dataset: Path, tmp_path: Path, config: Callable[..., Config]
) -> None:
    data = manifest.read_manifest(str(prepared_dataset))
    trained = config(name="stripes", card={"licence": "mit", "contact": "Ann"})
    folder = saved_model.save(
        tmp_path / "model", trained, data.labels, fingerprint=data.fingerprint
    )
    write_cards(str(folder), data, CardSettings(contact="Bob"))
    assert set(CARD_FILES) <= {path.name for path in folder.iterdir()}
    text = (folder / "model_card.md").read_text()
    assert "# Model card: stripes" in text
    assert "- licence: mit\n- contact: Bob\n" in text
    assert data.fingerprint in text
    stored = (prepared_dataset / "data_card.md").read_bytes()
    assert (folder / "data_card.md").read_bytes() == stored
