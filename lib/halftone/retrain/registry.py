"""The registered model in MLflow: its versions, and which of them is the champion.

A promotion is one change of one row there: who asks for models:/NAME@champion gets the old version
or the new one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from halftone import model_directory, storage
from halftone.config import TrackingSettings
from halftone.errors import InputError, RunError
from halftone.model_directory import HISTORY, MODEL_INFO
from halftone.tracking import mlflow_model, tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
_RUN_TAG = "halftone.night"  # the tag that says which night made a version
_ARTIFACT_PATH = "model"  # where a run keeps them, as trainings do


class ModelVersion(NamedTuple):
    number: str  # 1, 2, ..., as MLflow counts
    run_id: str
    retrain_run_folder: str  # the folder of the night that made it; "" where none of ours did
    aliases: tuple[str, ...]


class ModelRegistry:
    """Versions of the registered model `name`."""

    def __init__(self, settings: TrackingSettings, name: str) -> None:
        self._settings, self.name = settings, name
        self._uri = tracking.store_uri(settings)
        self._client: Optional[MlflowClient] = None

    def __str__(self) -> str:
        return f"models:/{self.name} in {tracking.mask_passwords(self._uri)}"

    def champion(self) -> Optional[ModelVersion]:
        """Raises RunError where MLflow does not answer, as all methods do."""
        with self._connected_client() as client, _none_if_missing():
            return _to_model_version(client.get_model_version_by_alias(self.name, CHAMPION))
        return None

    def version(self, number: str) -> Optional[ModelVersion]:
        with self._connected_client() as client, _none_if_missing():
            return _to_model_version(client.get_model_version(self.name, number))
        return None

    def versions(self) -> list[ModelVersion]:
        """All of them, in order."""
        with self._connected_client() as client, _none_if_missing():
            found = [_to_model_version(one) for one in self._search_versions(client)]
            # A search does not say which aliases its versions have.
            names: dict[str, list[str]] = {}
            for alias, number in client.get_registered_model(self.name).aliases.items():
                names.setdefault(str(number), []).append(alias)
            found = [one._replace(aliases=tuple(names.get(one.number, ()))) for one in found]
            return sorted(found, key=lambda one: int(one.number))
        return []

    def set_alias(self, alias: str, version: ModelVersion) -> None:
        """Have `alias` mean this version, and no other, from now on."""
        with self._connected_client() as client:
            client.set_registered_model_alias(self.name, alias, version.number)

    def register(self, model: str, retrain_run_folder: str, experiment: str) -> ModelVersion:
        """Make the model directory at `model` the next version; the one of this night, if it is.

        Args:
            night: its folder.
            experiment: for a run that keeps the files, where the training has left none.
        """
        for version in self.versions():
            if version.retrain_run_folder == retrain_run_folder:
                return version
        with self._connected_client() as client:
            run_id, source = self._store_files(client, model, experiment)
            with _suppress_existing():
                client.create_registered_model(self.name)
            made = client.create_model_version(
                self.name, source, run_id, tags={_RUN_TAG: retrain_run_folder}
            )
            return _to_model_version(made)

    def fetch(self, version: ModelVersion, output: str) -> str:
        """Copy the version's model to below `output`; return the copy's URL."""
        try:
            return mlflow_model.fetch_model(
                f"models:/{self.name}/{version.number}", output, self._settings
            )
        except InputError as error:  # no mistake of the user's, as the version is there
            raise RunError(str(error)) from error

    def remove(self, version: ModelVersion) -> None:
        """Remove a version that no alias names, and its files; its run stays, with its metrics."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._connected_client() as client, _none_if_missing():
            if client.get_model_version(self.name, version.number).aliases:
                return
            client.delete_model_version(self.name, version.number)
            artifacts = client.get_run(version.run_id).info.artifact_uri
            with suppress(NotImplementedError):  # a store that removes them itself
                get_artifact_repository(artifacts).delete_artifacts(_ARTIFACT_PATH)  # type: ignore[no-untyped-call]

    def _search_versions(self, client: MlflowClient) -> Iterator[Any]:
        token: Optional[str] = None
        while True:
            page = client.search_model_versions(f"name='{self.name}'", page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _store_files(self, client: MlflowClient, model: str, experiment: str) -> tuple[str, str]:
        """The run that keeps the model's files, and where: its training's, or one of our own."""
        run_id = _find_training_run(client, model, self._uri) or self._create_mlflow_run(
            client, experiment
        )
        card = model_directory.read_model_info(model)
        there = {entry.path for entry in client.list_artifacts(run_id, _ARTIFACT_PATH)}
        with tempfile.TemporaryDirectory() as folder:  # MLflow takes local files only
            for name in (card.network, HISTORY, MODEL_INFO):
                if f"{_ARTIFACT_PATH}/{name}" not in there:
                    path = Path(folder, name)
                    path.write_bytes(storage.read_bytes(storage.join(model, name)))
                    client.log_artifact(run_id, str(path), _ARTIFACT_PATH)
        return run_id, f"{client.get_run(run_id).info.artifact_uri}/{_ARTIFACT_PATH}"

    def _create_mlflow_run(self, client: MlflowClient, experiment: str) -> str:
        from halftone.tracking import mlflow_store

        run = client.create_run(
            mlflow_store.get_or_create_experiment(client, self._uri, experiment)
        )
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    @contextmanager
    def _connected_client(self) -> Iterator[MlflowClient]:
        """Give the client, and say in our words what fails."""
        from halftone.tracking import mlflow_store  # here, as it takes seconds

        with mlflow_model.tracking_environment(self._uri):
            try:
                if self._client is None:
                    self._client = mlflow_store.connect(self._uri)
                yield self._client
            except RunError:
                raise
            except Exception as error:  # MLflow's own, and those of its stores
                said = tracking.mask_passwords(" ".join(str(error).split()))
                raise RunError(f"{self}: {said}; run the same command again to go on") from error


def _to_model_version(mlflow_version: Any) -> ModelVersion:
    return ModelVersion(
        str(mlflow_version.version),
        str(mlflow_version.run_id),
        str((mlflow_version.tags or {}).get(_RUN_TAG, "")),
        tuple(mlflow_version.aliases or ()),
    )


def _find_training_run(client: MlflowClient, model: str, uri: str) -> str:
    """The run that the training at `model` has, as long as this store has it; else ""."""
    with suppress(FileNotFoundError):
        kept = storage.read_json(storage.join(model, model_directory.TRACKING))
        if kept.get("tracking_uri") == tracking.mask_passwords(uri):
            with _none_if_missing():
                run = client.get_run(kept["run_id"])
                return str(kept["run_id"]) if run.info.lifecycle_stage == "active" else ""
    return ""


@contextmanager
def _none_if_missing() -> Iterator[None]:
    """Go on behind the body where MLflow does not have what was asked for."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        # An alias that there is none of is, to some stores, a wrong parameter.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise


@contextmanager
def _suppress_existing() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
