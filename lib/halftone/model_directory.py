"""A trained model with all that scoring needs: weights, labels, pixels, and where it is from.

network-VERSION.keras   pixels in, probabilities out; any Keras 2.15 opens it
history.json            metrics an epoch
checkpoints/            to go on from
logs/rank-N.log         what rank N said, of all attempts
restarts.json           each time that ranks were lost and started again, so far
stop                    asks a running training to write a checkpoint and end
curves.png              its history, drawn
model.json              the card below, written last: it names the network that counts
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from halftone import storage
from halftone.config import Config, PixelSpec, TrainSettings, diff_settings
from halftone.dataset.manifest import Manifest
from halftone.dataset.schema import SCHEMA_VERSION
from halftone.errors import InputError

MODEL_INFO = "model.json"
HISTORY = "history.json"
CHECKPOINTS = "checkpoints"
CURVES = "curves.png"
LOGS = "logs"
RESTARTS = "restarts.json"
STOP_FILE = "stop"  # while it is there, ranks write a checkpoint and end
TRACKING = "mlflow.json"
# Settings of a training that may change from one of its epochs to the next.
_CHANGEABLE_SETTINGS = {
    *("epochs", "patience", "ranks", "launcher", "hosts", "network_interface"),
    *("cycle_ms", "max_restarts", "keep_checkpoints"),
}
# What may be there before there is a checkpoint.
_NAMES_BEFORE_CHECKPOINT = {LOGS, RESTARTS, STOP_FILE, TRACKING}


class Restart(BaseModel):
    """One time that ranks were lost and all were started again."""

    model_config = ConfigDict(frozen=True)

    epoch: int  # whose checkpoint they went on from; 0 where there was none
    message: str  # which rank was lost, and how


class ModelInfo(BaseModel):
    """What a model is and what made it."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    schema_version: int
    halftone_version: str
    created: str  # UTC
    version: str  # digest of the weights
    network: str  # file name
    labels: list[str]  # classes, in the order of the probabilities
    pixels: PixelSpec
    fingerprint: str  # of the dataset
    best_epoch: int
    ranks: int
    train_secs: float
    restarts: list[Restart] = []
    origin: dict[str, Any]  # of its checkpoints, see training.origin
    config: Config

    def shape(self) -> tuple[int, int, int]:
        return self.pixels.height_px, self.pixels.width_px, self.pixels.channels


def write_model(root: str, info: ModelInfo, network: bytes) -> None:
    """Make `network` the model at `root`: a reader finds the old one or the new one, whole."""
    storage.write_bytes(storage.join(root, info.network), network)
    storage.write_bytes(
        storage.join(root, MODEL_INFO), (info.model_dump_json(indent=2) + "\n").encode()
    )
    for name in storage.list_names(root):
        if name.startswith("network-") and name != info.network:
            storage.remove(storage.join(root, name))


def read_restarts(root: str) -> list[Restart]:
    """Each restart of the training at `root` so far."""
    try:
        raw = storage.read_json(storage.join(root, RESTARTS))
    except FileNotFoundError:
        return []
    return [Restart.model_validate(restart) for restart in raw]


def add_restart(root: str, restart: Restart) -> None:
    made = [*read_restarts(root), restart]
    storage.write_json(storage.join(root, RESTARTS), [one.model_dump() for one in made])


def read_model_info(root: str) -> ModelInfo:
    """Read the card of the model at `root`.

    Raises:
        InputError: there is no model, a part of it is missing, or it is newer than this Halftone.
    """
    url = storage.join(root, MODEL_INFO)
    try:
        raw = storage.read_json(url)
        version = raw["schema_version"]
    except FileNotFoundError:
        raise InputError(
            f"{root}: no model here (no {MODEL_INFO}); run jobs/train.py, or check paths.model or --model"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{url}: not a model's card") from None
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{url}: schema version {version} is newer than {SCHEMA_VERSION}, the newest that "
            "this Halftone reads; upgrade Halftone"
        )
    try:
        card = ModelInfo.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
        raise InputError(f"{url}: not a model's card: wrong or missing {keys}") from None
    if not storage.exists(storage.join(root, card.network)):
        raise InputError(f"{root}: {card.network} is missing; restore it, or train again elsewhere")
    return card


def check_model_fits(info: ModelInfo, manifest: Manifest, model: str, dataset: str) -> None:
    """Raise InputError unless the model can score the dataset."""
    if info.pixels != manifest.pixels:
        differing = ", ".join(
            f"{name} {value!r} and {getattr(manifest.pixels, name)!r}"
            for name, value in info.pixels
            if value != getattr(manifest.pixels, name)
        )
        raise InputError(
            f"the model at {model} does not fit the dataset at {dataset}: pixels differ: "
            f"{differing}. Preprocess with the model's settings, or train on this dataset"
        )
    if info.labels != manifest.labels:
        raise InputError(
            f"the model at {model} does not fit the dataset at {dataset}: the model knows the "
            f"classes {', '.join(info.labels)}; the dataset has {', '.join(manifest.labels)}"
        )


def check_model_root(root: str) -> None:
    """Raise InputError where something else than a model or a training is at `root`."""
    held = storage.list_names(root)
    others = [name for name in held if name not in _NAMES_BEFORE_CHECKPOINT]
    if others and MODEL_INFO not in held and CHECKPOINTS not in held:
        raise InputError(
            f"{root}: exists and is not a model (it holds {', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}); give another --output"
        )


def training_fingerprint(config: Config, manifest: Manifest) -> dict[str, Any]:
    """Everything that decides what a training does from one epoch to the next.

    Not part of it: how many epochs (unless the learning rate falls with them), on how many ranks,
    and how many checkpoints are kept.
    """
    settings = config.train
    decided = settings.model_dump(mode="json", exclude=_CHANGEABLE_SETTINGS)
    if settings.decay != "none":
        decided["epochs"] = settings.epochs
    if settings.start_from:
        decided["start_from"] = read_model_info(settings.start_from).version
    return {"seed": config.seed, "train": decided, "fingerprint": manifest.fingerprint}


def check_training_fingerprint(output: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise InputError where what is at `output` comes from another origin than `new`."""
    # A setting that there was none of yet was what it is by default.
    usual = TrainSettings().model_dump(mode="json", exclude=_CHANGEABLE_SETTINGS)
    was = {**old, "train": {**usual, **old["train"]}}
    changes = [
        f"{key}: {one!r} there, {other!r} now" for key, one, other in diff_settings(was, new)
    ]
    if changes:
        raise InputError(
            f"{output}: a training with other settings is there, and is not continued: "
            f"{'; '.join(changes)}. Give another --output, or remove it"
        )


def best_epoch(history: Sequence[Mapping[str, Any]]) -> int:
    """The epoch of the lowest validation loss, or training loss where none was held out."""
    key = "val_loss" if "val_loss" in history[0] else "loss"
    return int(min(history, key=lambda entry: float(entry[key]))["epoch"])
