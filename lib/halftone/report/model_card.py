"""The model card: one page on what a model is for, how it was made, and how good it is.

M. Mitchell et al., "Model Cards for Model Reporting", Conference on Fairness, Accountability, and
Transparency (2019): its sections, with what the model directory, the scores and the section `card`
of the config answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from halftone.card import data_card, limits
from halftone.card.changed_settings import list_changed_settings
from halftone.card.markdown_text import (
    bullets,
    code,
    escape,
    front_matter,
    licence_metadata,
    paragraphs,
    stated,
    yaml_block,
)
from halftone.config import CardSettings
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import TRAIN
from halftone.metrics.model import SplitScores
from halftone.model_directory import ModelInfo
from halftone.report import card_results, measures
from halftone.report.run import describe_machine
from halftone.report.words import count, duration, image_count, mebibytes, percent

_MAX_NAMES = 20
_NETWORKS = {
    "convnet": "a convolutional network",
    "mlp": "a network of dense layers",
    "residual": "a residual network",
    "custom": "a network of a function of the user's",
}


@dataclass(frozen=True)
class ModelCardInputs:
    """Everything that the card shows."""

    model_info: ModelInfo
    history: Sequence[Mapping[str, Any]]  # an entry per epoch, as in history.json
    manifest: Manifest  # of the dataset of the training or, with scores, of the one scored
    card: CardSettings
    scores: Optional[SplitScores] = None  # None: the card has the validation metrics only


def render_model_card(inputs: ModelCardInputs) -> str:
    """Return the card as Markdown, with the metadata that Hugging Face reads.

    Equal inputs give equal texts.
    """
    model_info, card = inputs.model_info, inputs.card
    name = model_info.config.name
    blocks = [
        front_matter(_metadata(inputs)),
        f"# Model card: {escape(name)}",
        _summary(inputs),
        "## Intended use",
        paragraphs(card.intended_use, "card.intended_use"),
        "## Model",
        bullets(_describe_model(inputs)),
        *card_results.result_blocks(model_info, inputs.history, inputs.manifest, inputs.scores),
        "## Data",
        *_data_blocks(inputs),
        "## Known limits",
        *data_card.limit_blocks(card, _list_limits(inputs)),
        "## How it was made",
        bullets(_describe_training(inputs)),
        "This config and the commands below make it again. It holds the settings that differ from "
        "the defaults.",
        yaml_block(list_changed_settings(model_info.config)),
        "```sh\npython jobs/preprocess.py --config FILE\npython jobs/train.py --config FILE\n"
        "python jobs/score.py --config FILE\n```",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _metadata(inputs: ModelCardInputs) -> dict[str, Any]:
    values: dict[str, Any] = {
        **licence_metadata(inputs.card.licence),
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["halftone", "image-classification"],
    }
    if inputs.scores is not None:
        values["model-index"] = [card_results.index_entry(inputs.model_info, inputs.scores)]
    return values


def _summary(inputs: ModelCardInputs) -> str:
    info, scores = inputs.model_info, inputs.scores
    shown = ", ".join(map(escape, info.labels[:_MAX_NAMES]))
    more = len(info.labels) - _MAX_NAMES
    classes = f"{shown} and {count(more)} more" if more > 0 else shown
    text = (
        f"Version {code(info.version)} tells {len(info.labels):,} classes of images apart: "
        f"{classes}. Halftone {escape(info.halftone_version)} trained it on "
        f"{data_card.utc_date(info.created)}."
    )
    if scores is None:
        return f"{text} It is not tested yet: the numbers below are of the validation split."
    described = inputs.manifest.images_description
    drawn = f" **The images are {escape(described)}.**" if described else ""
    verdict = measures.summarise_accuracy(scores)
    low, high = verdict["interval"]
    return (
        f"{text} It is right for **{percent(scores.accuracy)}** of {image_count(scores.rows)} of "
        f"the {scores.split} split (95 % interval: {percent(low)} to {percent(high)}); always "
        f"answering {escape(verdict['commonest'])} would be right for "
        f"{percent(verdict['baseline'])}.{drawn}"
    )


def _describe_model(inputs: ModelCardInputs) -> list[str]:
    info = inputs.model_info
    network = info.config.train.model
    kind = _NETWORKS.get(network.name) or f"{escape(getattr(network, 'architecture', ''))} of Keras"
    lines = [
        f"network: {kind} (`train.model.name: {network.name}`), from uint8 pixels to a probability "
        "of each class",
        f"input: {data_card.describe_pixels(info.pixels)}",
    ]
    if info.num_parameters is not None:
        lines.append(f"parameters: {count(info.num_parameters)}")
    size = "" if info.network_bytes is None else f", {mebibytes(info.network_bytes)}"
    lines.append(f"file: {code(info.network)}{size}, which Keras 2.15 loads")
    lines.append(f"licence: {stated(inputs.card.licence, 'card.licence')}")
    lines.append(f"contact: {stated(inputs.card.contact, 'card.contact')}")
    return lines


def _data_blocks(inputs: ModelCardInputs) -> list[str]:
    info, manifest = inputs.model_info, inputs.manifest
    if manifest.fingerprint == info.fingerprint:
        return [
            f"Training, validation and test images are of one dataset, made from "
            f"{code(manifest.images)}: version {manifest.version}, fingerprint "
            f"{code(manifest.fingerprint)}, {manifest.rows:,} rows, {manifest.rejects:,} rejects, "
            f"{manifest.duplicates:,} duplicates. Its data card is `data_card.md`.",
            data_card.count_table(manifest),
        ]
    return [
        f"The model was trained on the dataset with the fingerprint {code(info.fingerprint)}, "
        "whose data card is in the model directory.",
        f"The scored images are of another dataset, made from {code(manifest.images)}: version "
        f"{manifest.version}, fingerprint {code(manifest.fingerprint)}.",
        data_card.count_table(manifest),
    ]


def _list_limits(inputs: ModelCardInputs) -> list[str]:
    """Return what may make the numbers misleading, the most serious first."""
    scores, manifest = inputs.scores, inputs.manifest
    sentences = []
    if scores is not None:
        caution = measures.describe_caution(inputs.model_info, manifest, scores)
        sentences += [caution] if caution else []
    return sentences + limits.describe_limits(manifest)


def _describe_training(inputs: ModelCardInputs) -> list[str]:
    info = inputs.model_info
    train = info.config.train
    ranks = f"{info.ranks} rank{'s' * (info.ranks > 1)}"
    by = "" if train.best_by == "val_loss" else f" by `{train.best_by}`"
    lines = [
        f"best epoch{by}: {info.best_epoch} of {len(inputs.history)}; {ranks}, "
        f"{duration(info.train_secs)}, batch {train.batch_size}, optimizer {train.optimizer}"
    ]
    if inputs.manifest.fingerprint == info.fingerprint:
        lines.append(f"training images: {count(inputs.manifest.totals(TRAIN).rows)}")
    if info.restarts:
        lines.append(f"restarts after a lost rank: {len(info.restarts)}")
    if info.config.train.start_from:
        lines.append(f"started from the weights of {code(info.config.train.start_from)}")
    versions = describe_machine({"Halftone": info.halftone_version, **info.versions})
    lines.append(f"versions: {escape(versions)}")
    return lines
