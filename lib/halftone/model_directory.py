"""The directory of a trained model, and of the training that writes it.

network-VERSION.keras   the network, from pixels to probabilities; any Keras 2.15 can load it
history.json            metrics of each epoch
checkpoints/            from which the training resumes
logs/rank-N.log         output of rank N in all attempts
restarts.json           the restarts after lost ranks so far
_lock/                  the process that writes here, see halftone.locking
stop                    asks a running training to write a checkpoint and end
curves.png              plot of history.json
model_card.md, .html    what the model is, how it was made, and what it can do
data_card.md, .html     the same of the dataset
model.json              the ModelInfo below, written last: it names the current network
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any, Optional

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from halftone import storage
from halftone.config import FAMILIES, Config, PixelSpec, TrainSettings, diff_settings
from halftone.config.effects import result_settings
from halftone.dataset.manifest import Manifest
from halftone.dataset.schema import SCHEMA_VERSION
from halftone.errors import InputError
from halftone.locking.lock import LOCK_FOLDER

MODEL_INFO = "model.json"
HISTORY = "history.json"
CHECKPOINTS = "checkpoints"
CURVES = "curves.png"
LOGS = "logs"
RESTARTS = "restarts.json"
STOP_FILE = "stop"  # while it exists, ranks write a checkpoint and end
TRACKING = "mlflow.json"
# The folder of models that were fetched from MLflow, with one folder for each version.
FETCHED_MODELS = "model"
_KERAS_WEIGHTS = "model.weights.h5"  # in a .keras file
# Names that may exist before the first checkpoint.
_NAMES_BEFORE_CHECKPOINT = {LOCK_FOLDER, LOGS, RESTARTS, STOP_FILE, TRACKING}


class Restart(BaseModel):
    """A restart of all ranks after one was lost."""

    model_config = ConfigDict(frozen=True)

    epoch: int  # whose checkpoint they resumed from; 0 if there was none
    message: str  # which rank was lost, and how


class LayerInfo(BaseModel):
    """A layer of a network; one with layers inside is one layer."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str  # class of Keras, such as Conv2D
    shape: tuple[Optional[int], ...]  # of its output, without the batch
    parameters: int


class ModelInfo(BaseModel):
    """Description of a model and of how it was trained."""

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
    origin: dict[str, Any]  # fingerprint of the training, see training_fingerprint
    config: Config
    split_salts: dict[str, int] = {}  # of the dataset, see dataset.manifest
    # Not known of models of an older Halftone:
    num_parameters: Optional[int] = None  # with the statistics of normalisation layers
    network_bytes: Optional[int] = None  # size of the network's file
    versions: dict[str, str] = {}  # of Python and of packages in the training
    layers: Optional[list[LayerInfo]] = None  # of the network, in order

    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.pixels.shape


def write_model(root: str, info: ModelInfo, network: bytes) -> None:
    """Publish `network` as the model at `root`: readers see the old or the new one, complete."""
    storage.write_bytes(storage.join(root, info.network), network)
    storage.write_bytes(
        storage.join(root, MODEL_INFO), (info.model_dump_json(indent=2) + "\n").encode()
    )
    for name in storage.list_names(root):
        if name.startswith("network-") and name != info.network:
            storage.remove(storage.join(root, name))


def read_restarts(root: str) -> list[Restart]:
    """Read the restarts of the training at `root` so far, in order."""
    try:
        raw = storage.read_json(storage.join(root, RESTARTS))
    except FileNotFoundError:
        return []
    return [Restart.model_validate(restart) for restart in raw]


def add_restart(root: str, restart: Restart) -> None:
    restarts = [*read_restarts(root), restart]
    storage.write_json(storage.join(root, RESTARTS), [item.model_dump() for item in restarts])


def read_model_info(root: str) -> ModelInfo:
    """Read the description of the model at `root`, whose network exists.

    Raises:
        InputError: there is no model, a part of it is missing, or it is newer than this Halftone.
    """
    info = read_model_json(root)
    if not storage.exists(storage.join(root, info.network)):
        raise _missing_file_error(root, info.network)
    return info


def find_missing_files(root: str, info: ModelInfo) -> list[str]:
    """Return the names of the model's files that are missing: of its network and its history."""
    names = storage.list_names(root)
    return [name for name in (info.network, HISTORY) if name not in names]


def _missing_file_error(root: str, name: str) -> InputError:
    return InputError(
        f"{root}: {name} is missing; restore it, or run jobs/train.py again with this --output, "
        f"which makes it from {CHECKPOINTS}/"
    )


def read_model_json(root: str) -> ModelInfo:
    """Read the description of the model at `root`, whether or not its files are all there.

    Raises:
        InputError: there is no model, or it is newer than this Halftone.
    """
    url = storage.join(root, MODEL_INFO)
    try:
        raw = storage.read_json(url)
        version = raw["schema_version"]
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(_no_model_message(root)) from None
    except InputError:  # which is a ValueError
        raise
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{url}: not a model description") from None
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{url}: schema version {version} is newer than {SCHEMA_VERSION}, the newest that "
            "this Halftone reads; upgrade Halftone"
        )
    try:
        return ModelInfo.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
        raise InputError(f"{url}: not a model description: wrong or missing {keys}") from None


def _no_model_message(root: str) -> str:
    if root.endswith((f"/{MODEL_INFO}", ".keras")):
        return f"{root}: is a file; give the folder that jobs/train.py writes, with {MODEL_INFO}"
    cure = "run jobs/train.py, or check paths.model or --model"
    return f"{root}: no model here (no {MODEL_INFO}); {cure}"


def read_history(root: str) -> list[dict[str, Any]]:
    """Return the metrics of each epoch of the model at `root`.

    Raises:
        InputError: the file is missing.
    """
    try:
        history: list[dict[str, Any]] = storage.read_json(storage.join(root, HISTORY))["epochs"]
    except FileNotFoundError:
        raise _missing_file_error(root, HISTORY) from None
    return history


def check_network(root: str, info: ModelInfo) -> None:
    """Raise InputError unless all weights of the network file are finite numbers.

    This reads the file without TensorFlow, which takes seconds to import.
    """
    arrays, url = _read_network_arrays(root, info), storage.join(root, info.network)
    damaged = [
        name
        for name, array in arrays.items()
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all()
    ]
    if damaged:
        raise InputError(
            f"{url}: {len(damaged)} of the network's {len(arrays)} arrays of weights "
            f"({damaged[0]}) hold{'s' * (len(damaged) == 1)} NaN or infinity: the training "
            "diverged, and the model predicts nothing. Train again with a lower "
            "train.learning_rate or with train.clip_norm"
        )


def has_convolution(root: str, info: ModelInfo) -> bool:
    """Return whether a layer of the network has a kernel (height, width, inputs, outputs)."""
    return any(array.ndim == 4 for array in _read_network_arrays(root, info).values())


def count_layers_with_weights(root: str, info: ModelInfo) -> int:
    """Return the number of layers of the network that have weights of their own."""
    return len({name.rpartition("/")[0] for name in _read_network_arrays(root, info)})


def _read_network_arrays(root: str, info: ModelInfo) -> dict[str, npt.NDArray[Any]]:
    """Read the weights in the network file: by layer, `vars` and number, as in `conv2d/vars/0`.

    Raises:
        InputError: the file is damaged.
    """
    import h5py  # here: it takes a tenth of a second to import

    url = storage.join(root, info.network)
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        with (
            zipfile.ZipFile(io.BytesIO(storage.read_bytes(url))) as archive,
            archive.open(_KERAS_WEIGHTS) as content,
            h5py.File(content, "r") as weights,
        ):
            weights.visititems(
                lambda name, item: (
                    arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
                )
            )
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise InputError(f"{url} is damaged ({error}); restore it, or train again") from None
    return arrays


def check_model_fits(info: ModelInfo, manifest: Manifest, model: str, dataset: str) -> None:
    """Raise InputError unless the model can score the dataset."""
    check_pixels_fit(info, manifest, model, dataset)
    if info.labels != manifest.labels:
        raise InputError(
            f"the model at {model} does not fit the dataset at {dataset}: the model knows the "
            f"classes {', '.join(info.labels)}; the dataset has {', '.join(manifest.labels)}"
        )


def check_pixels_fit(info: ModelInfo, manifest: Manifest, model: str, dataset: str) -> None:
    """Raise InputError unless the images of the dataset are what the model takes."""
    seen = manifest.pixels.without_lossless_encoding()
    if info.pixels != seen:
        differing = ", ".join(
            f"{name} {value!r} and {getattr(seen, name)!r}"
            for name, value in info.pixels
            if value != getattr(seen, name)
        )
        raise InputError(
            f"the model at {model} does not fit the dataset at {dataset}: pixels differ: "
            f"{differing}. Preprocess with the model's settings, or train on this dataset"
        )


def check_model_root(root: str) -> None:
    """Raise InputError if `root` holds something other than a model or a training."""
    names = storage.list_names(root)
    others = [name for name in names if name not in _NAMES_BEFORE_CHECKPOINT]
    if others and MODEL_INFO not in names and CHECKPOINTS not in names:
        raise InputError(
            f"{root}: exists and is not a model (it holds {', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}); give another --output"
        )


def training_fingerprint(config: Config, manifest: Manifest) -> dict[str, Any]:
    """Return the settings and the dataset that determine the result of each epoch.

    It leaves out what may change when a training resumes, such as the number of epochs (unless the
    learning rate decays over them), of ranks and of checkpoints to keep.
    """
    settings = config.train
    train = result_settings(settings)
    if settings.decay in ("cosine", "one_cycle"):
        train["epochs"] = settings.epochs
    if settings.start_from:
        train["start_from"] = read_model_info(settings.start_from).version
    return {"seed": config.seed, "train": train, "fingerprint": manifest.fingerprint}


def check_training_fingerprint(output: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise InputError if the training at `output` has another fingerprint than the new one."""
    # A setting that did not exist yet had the effect of its default.
    defaults = result_settings(TrainSettings())
    train = {**defaults, **old["train"]}
    train["augment"] = {**defaults["augment"], **train["augment"]}
    family = FAMILIES[train["model"]["name"]]
    train["model"] = {**family.model_construct().model_dump(mode="json"), **train["model"]}
    old = {**old, "train": train}
    changes = [
        f"{key}: {before!r} there, {now!r} now" for key, before, now in diff_settings(old, new)
    ]
    if changes:
        raise InputError(
            f"{output} holds a training with other settings: "
            f"{'; '.join(changes)}. Give another --output, or remove it"
        )
