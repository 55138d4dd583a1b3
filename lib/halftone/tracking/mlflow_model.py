"""A model directory out of MLflow: of a registered version, an alias, or a run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from halftone import model_directory, storage
from halftone.config import TrackingSettings
from halftone.errors import InputError
from halftone.model_directory import HISTORY, MODEL_INFO
from halftone.scoring.scores_directory import MODEL
from halftone.tracking import tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

_REGISTERED_PREFIX, _RUN_PREFIX = "models:/", "runs:/"


def is_mlflow_uri(model: str) -> bool:
    """Whether `model` is such as models:/faces/3, models:/faces@champion or runs:/ID/model."""
    return model.startswith((_REGISTERED_PREFIX, _RUN_PREFIX))


def fetch_model(model: str, output: str, settings: TrackingSettings) -> str:
    """Copy a model to below `output`, where all workers can read it; return the copy's URL.

    An alias is looked up once, so that one version does all the work.

    Raises:
        InputError: MLflow does not have it, or it is no model of Halftone's.
    """
    uri = tracking.store_uri(settings)
    with _download_model(model, uri) as folder:
        if not Path(folder, MODEL_INFO).exists():
            raise InputError(
                f"{model}: no model of Halftone's in {tracking.mask_passwords(uri)} (it has no "
                f"{MODEL_INFO}); jobs/train.py keeps one as runs:/ID/model"
            )
        card = model_directory.read_model_info(folder)
        copy = storage.join(storage.normalise_url(output), MODEL, card.version)
        if not storage.exists(storage.join(copy, MODEL_INFO)):
            for name in (card.network, HISTORY, MODEL_INFO):  # the card says that all is there
                storage.write_bytes(storage.join(copy, name), Path(folder, name).read_bytes())
    return copy


@contextmanager
def _download_model(model: str, uri: str) -> Iterator[str]:
    from mlflow import MlflowClient  # here, as it takes seconds

    from halftone.tracking import mlflow_store

    if not mlflow_store.store_exists(uri):
        raise InputError(
            f"{model}: there is no MLflow at {uri}; check tracking.uri or MLFLOW_TRACKING_URI"
        )
    with tempfile.TemporaryDirectory() as folder, tracking_environment(uri):
        try:
            client = MlflowClient(uri)
            path = client.download_artifacts(*_locate_artifacts(model, client), folder)
        except Exception as error:  # MLflow's own, and those of its stores
            said = tracking.mask_passwords(" ".join(str(error).split()))
            raise InputError(
                f"{model}: cannot be had from {tracking.mask_passwords(uri)}: {said}; check "
                "--model, and tracking.uri or MLFLOW_TRACKING_URI"
            ) from None
        yield path


def _locate_artifacts(model: str, client: MlflowClient) -> tuple[str, str]:
    """The run that has the files, and where among its artifacts they are.

    MLflow's own way from a name to its files looks in the store that is the process's default.
    """
    from mlflow.store.artifact.utils.models import get_model_name_and_version

    if model.startswith(_RUN_PREFIX):
        run_id, _, path = model[len(_RUN_PREFIX) :].partition("/")
        return run_id, path
    name, version = get_model_name_and_version(client, model)  # type: ignore[no-untyped-call]
    found = client.get_model_version(name, version)
    artifacts = client.get_run(found.run_id).info.artifact_uri
    if not found.source.startswith(f"{artifacts}/"):
        raise InputError(f"its files at {found.source} are not those of its run {found.run_id}")
    return found.run_id, found.source[len(artifacts) + 1 :]


@contextmanager
def tracking_environment(uri: str) -> Iterator[None]:
    """Tell MLflow by environment, which is the only way, where its server is.

    And to ask one that does not answer twice, and not for minutes, and to draw no bars.
    """
    before, bars = dict(os.environ), "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
    os.environ.update({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", bars: "false", **before})
    os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
