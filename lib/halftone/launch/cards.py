"""The cards in the model directory: of the model, and of the dataset that it was trained on."""

from __future__ import annotations

from halftone import model_directory
from halftone.card.data_card import render_data_card
from halftone.card.files import DATA_CARD, MODEL_CARD, write_card
from halftone.config import CardSettings
from halftone.dataset.manifest import Manifest
from halftone.report.model_card import ModelCardInputs, render_model_card


def write_cards(output: str, manifest: Manifest, card: CardSettings) -> None:
    """Write both cards into the directory of a finished model, unless they are there.

    Args:
        output: URL of the model directory.
        manifest: of the dataset that the model was trained on.
        card: texts of the current config; those that it does not set are of the training.
    """
    model_info = model_directory.read_model_info(output)
    inputs = ModelCardInputs(
        model_info,
        model_directory.read_history(output),
        manifest,
        card.completed_by(model_info.config.card),
    )
    write_card(output, DATA_CARD, render_data_card(manifest))
    write_card(output, MODEL_CARD, render_model_card(inputs))
