"""Write a model directory as an MLflow model.

MLmodel, conda.yaml, python_env.yaml, requirements.txt   what MLflow's clients read first
input_example.json, serving_input_example.json           a request
code/halftone/                                           the modules that prediction needs
network-VERSION.keras, history.json, model.json          the model directory, from which scoring and
                                                         retraining go on reading
model_card.md, data_card.md                              if the model directory has them
"""

from __future__ import annotations

import io
import logging
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import mlflow.pyfunc
from mlflow.models import Model

from halftone import model_directory, storage
from halftone.card.files import DATA_CARD, MODEL_CARD
from halftone.model_directory import HISTORY, MODEL_INFO, ModelInfo
from halftone.serving import code_files, model_signature, requirements
from halftone.serving.served_model import ServingSettings

MLMODEL = "MLmodel"
MODEL_VERSION = "model_version"  # a key of the metadata in MLmodel
_CARDS = (f"{MODEL_CARD}.md", f"{DATA_CARD}.md")
_KERAS_CONFIG = "config.json"  # in a .keras file
# A layer of ConvNeXt that Keras does not find by itself; an older Halftone wrote it.
_UNKNOWN_TO_KERAS = b'"LayerScale"'


def write_mlflow_model(model: str, folder: Path, run_id: str, artifact_path: str) -> Model:
    """Write the MLflow model of a model directory.

    Args:
        model: URL of the model directory.
        folder: local folder, which does not exist or is empty.
        run_id: of the MLflow run that gets the model.
        artifact_path: where the run gets it.

    Returns:
        The content of MLmodel.

    Raises:
        InputError: there is no model, or a part of it is missing.
    """
    model_info = model_directory.read_model_info(model)
    mlflow_model = Model(artifact_path=artifact_path, run_id=run_id)
    with tempfile.TemporaryDirectory() as code, _without_info_messages():
        package = code_files.write_code(Path(code))
        mlflow.pyfunc.save_model(
            path=str(folder),
            loader_module=code_files.LOADER_MODULE,
            code_paths=[str(package)],
            mlflow_model=mlflow_model,
            pip_requirements=list(_pip_requirements()),
            signature=model_signature.build_signature(model_info.config.score),
            input_example=model_signature.example_request(model_info.pixels),
            model_config=_serving_settings(model_info).model_dump(),
            metadata=_metadata(model_info),
        )
    for name in find_model_files(model, model_info):
        (folder / name).write_bytes(storage.read_bytes(storage.join(model, name)))
    if _is_known_to_keras(folder / model_info.network):
        # The same file, without a copy: mlflow.tensorflow.load_model opens it.
        mlflow_model.add_flavor(
            "tensorflow", data=model_info.network, model_type="keras", save_format="keras"
        )
    mlflow_model.model_size_bytes = sum(
        path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != MLMODEL
    )
    mlflow_model.save(str(folder / MLMODEL))
    return mlflow_model


def find_model_files(model: str, model_info: ModelInfo) -> list[str]:
    """Return the names of the files of a model directory that an MLflow model has too."""
    names = storage.list_names(model)
    cards = [name for name in _CARDS if name in names]
    return [model_info.network, HISTORY, *cards, MODEL_INFO]


@cache
def _pip_requirements() -> tuple[str, ...]:
    """Return the requirements of all models that this process writes."""
    libraries = code_files.imported_libraries(code_files.find_modules().values())
    return tuple(requirements.pinned_requirements(libraries))


def _serving_settings(model_info: ModelInfo) -> ServingSettings:
    score = model_info.config.score
    return ServingSettings(views=score.views, batch_size=score.batch_size)


def _metadata(model_info: ModelInfo) -> dict[str, object]:
    return {
        MODEL_VERSION: model_info.version,
        "labels": model_info.labels,
        "dataset_fingerprint": model_info.fingerprint,
        "halftone_version": model_info.halftone_version,
    }


def _is_known_to_keras(network: Path) -> bool:
    """Return whether Keras alone can load a network file."""
    with zipfile.ZipFile(io.BytesIO(network.read_bytes())) as archive:
        return _UNKNOWN_TO_KERAS not in archive.read(_KERAS_CONFIG)


@contextmanager
def _without_info_messages() -> Iterator[None]:
    """Hide what MLflow reports of its own progress."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
