"""The registered model in MLflow: its versions, and which of them is the champion.

A promotion moves one alias and is atomic: readers of models:/NAME@champion get either the old
version or the new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from halftone import model_directory, storage
from halftone.config import TrackingSettings
from halftone.errors import InputError, RunError
from halftone.tracking import mlflow_model, tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
_RUN_TAG = "halftone.night"  # tag of a version: the folder of the retraining run that made it


class ModelVersion(NamedTuple):
    number: str  # "1", "2", ..., MLflow's version number
    run_id: str  # MLflow run that holds the files
    retrain_run_folder: str  # folder of the retraining run that registered it; "" if none did
    aliases: tuple[str, ...]


class ModelRegistry:
    """The versions of a registered model.

    All methods raise RunError if MLflow cannot be reached or refuses the request.

    Args:
        settings: where MLflow is.
        name: name of the registered model.
    """

    def __init__(self, settings: TrackingSettings, name: str) -> None:
        self._settings, self.name = settings, name
        self._uri = tracking.store_uri(settings)
        self._client: Optional[MlflowClient] = None

    def __str__(self) -> str:
        return f"models:/{self.name} in {tracking.mask_passwords(self._uri)}"

    def champion(self) -> Optional[ModelVersion]:
        """Return the version with the champion alias, or None."""
        with self._connected_client() as client, _none_if_missing():
            return _to_model_version(client.get_model_version_by_alias(self.name, CHAMPION))
        return None

    def version(self, number: str) -> Optional[ModelVersion]:
        """Return a version, or None if it does not exist."""
        with self._connected_client() as client, _none_if_missing():
            return _to_model_version(client.get_model_version(self.name, number))
        return None

    def versions(self) -> list[ModelVersion]:
        """Return all versions in order."""
        with self._connected_client() as client, _none_if_missing():
            listed = [_to_model_version(version) for version in self._search_versions(client)]
            # MLflow's search results do not contain aliases.
            aliases: dict[str, list[str]] = {}
            for alias, number in client.get_registered_model(self.name).aliases.items():
                aliases.setdefault(str(number), []).append(alias)
            versions = [
                version._replace(aliases=tuple(aliases.get(version.number, ())))
                for version in listed
            ]
            return sorted(versions, key=lambda version: int(version.number))
        return []

    def set_alias(self, alias: str, version: ModelVersion) -> None:
        """Move `alias` to this version."""
        with self._connected_client() as client:
            client.set_registered_model_alias(self.name, alias, version.number)

    def register(self, model: str, retrain_run_folder: str, experiment: str) -> ModelVersion:
        """Register the model directory at `model` as the next version.

        If this retraining run has registered a version already, return that one.

        Args:
            model: URL of the model directory.
            retrain_run_folder: folder of the retraining run, stored as a tag.
            experiment: experiment of the MLflow run that is created for the files if the training
                left none.
        """
        for version in self.versions():
            if version.retrain_run_folder == retrain_run_folder:
                return version
        with self._connected_client() as client:
            run_id, source = self._store_files(client, model, experiment)
            with _suppress_existing():
                client.create_registered_model(self.name)
            mlflow_version = client.create_model_version(
                self.name, source, run_id, tags={_RUN_TAG: retrain_run_folder}
            )
            return _to_model_version(mlflow_version)

    def fetch(self, version: ModelVersion, output: str) -> str:
        """Copy the version's model to a folder below `output`; return the URL of the copy."""
        try:
            return mlflow_model.fetch_model(
                f"models:/{self.name}/{version.number}", output, self._settings
            )
        except InputError as error:  # not a user error: the version is registered
            raise RunError(str(error)) from error

    def remove(self, version: ModelVersion) -> None:
        """Remove a version and its files, unless it has an alias. Its MLflow run stays."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        from halftone.serving.upload import ARTIFACT_PATH

        with self._connected_client() as client, _none_if_missing():
            if client.get_model_version(self.name, version.number).aliases:
                return
            client.delete_model_version(self.name, version.number)
            artifacts = client.get_run(version.run_id).info.artifact_uri
            with suppress(NotImplementedError):  # some artifact stores cannot delete
                get_artifact_repository(artifacts).delete_artifacts(ARTIFACT_PATH)  # type: ignore[no-untyped-call]

    def _search_versions(self, client: MlflowClient) -> Iterator[Any]:
        token: Optional[str] = None
        while True:
            page = client.search_model_versions(f"name='{self.name}'", page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _store_files(self, client: MlflowClient, model: str, experiment: str) -> tuple[str, str]:
        """Upload the model to the training's run unless it has it, or to a new run.

        Returns:
            The run's id and the URL of its model files.
        """
        from halftone.serving import upload  # imported here because it takes seconds

        run_id = _find_training_run(client, model, self._uri) or self._create_mlflow_run(
            client, experiment
        )
        upload.upload_model(client, run_id, model)
        return run_id, f"{client.get_run(run_id).info.artifact_uri}/{upload.ARTIFACT_PATH}"

    def _create_mlflow_run(self, client: MlflowClient, experiment: str) -> str:
        from halftone.tracking import mlflow_store

        run = client.create_run(
            mlflow_store.get_or_create_experiment(client, self._uri, experiment)
        )
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    @contextmanager
    def _connected_client(self) -> Iterator[MlflowClient]:
        """Yield the client; turn its errors into RunError."""
        from halftone.tracking import mlflow_store  # imported here because it takes seconds

        with mlflow_model.tracking_environment(self._uri):
            try:
                if self._client is None:
                    self._client = mlflow_store.connect(self._uri)
                yield self._client
            except RunError:
                raise
            except Exception as error:  # MLflow and its stores raise many types
                message = tracking.mask_passwords(" ".join(str(error).split()))
                raise RunError(f"{self}: {message}; run the same command again to go on") from error


def _to_model_version(mlflow_version: Any) -> ModelVersion:
    return ModelVersion(
        str(mlflow_version.version),
        str(mlflow_version.run_id),
        str((mlflow_version.tags or {}).get(_RUN_TAG, "")),
        tuple(mlflow_version.aliases or ()),
    )


def _find_training_run(client: MlflowClient, model: str, uri: str) -> str:
    """Return the id of the training's MLflow run; "" if this store does not have it."""
    with suppress(FileNotFoundError):
        tracked = storage.read_json(storage.join(model, model_directory.TRACKING))
        if tracked.get("tracking_uri") == tracking.mask_passwords(uri):
            with _none_if_missing():
                run = client.get_run(tracked["run_id"])
                return str(tracked["run_id"]) if run.info.lifecycle_stage == "active" else ""
    return ""


@contextmanager
def _none_if_missing() -> Iterator[None]:
    """Suppress MLflow's errors about something that does not exist."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        # Some stores report a missing alias as INVALID_PARAMETER_VALUE.
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
