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
from halftone.config import Tracking
from halftone.errors import InputError, RunError
from halftone.model_directory import CARD, HISTORY
from halftone.tracking import mlflow_model, tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
_NIGHT = "halftone.night"  # the tag that says which night made a version
_FILES = "model"  # where a run keeps them, as trainings do


class Version(NamedTuple):
    number: str  # 1, 2, ..., as MLflow counts
    run_id: str
    night: str  # the folder of the night that made it; "" where none of ours did
    aliases: tuple[str, ...]


class Registry:
    """Versions of the registered model `name`."""

    def __init__(self, settings: Tracking, name: str) -> None:
        self._settings, self.name = settings, name
        self._uri = tracking.store_uri(settings)
        self._own: Optional[MlflowClient] = None

    def __str__(self) -> str:
        return f"models:/{self.name} in {tracking.without_password(self._uri)}"

    def champion(self) -> Optional[Version]:
        """Raises RunError where MLflow does not answer, as all methods do."""
        with self._asking() as client, _none_if_missing():
            return _version(client.get_model_version_by_alias(self.name, CHAMPION))
        return None

    def version(self, number: str) -> Optional[Version]:
        with self._asking() as client, _none_if_missing():
            return _version(client.get_model_version(self.name, number))
        return None

    def versions(self) -> list[Version]:
        """All of them, in order."""
        with self._asking() as client, _none_if_missing():
            found = [_version(one) for one in self._search(client)]
            # A search does not say which aliases its versions have.
            names: dict[str, list[str]] = {}
            for alias, number in client.get_registered_model(self.name).aliases.items():
                names.setdefault(str(number), []).append(alias)
            found = [one._replace(aliases=tuple(names.get(one.number, ()))) for one in found]
            return sorted(found, key=lambda one: int(one.number))
        return []

    def point(self, alias: str, version: Version) -> None:
        """Have `alias` mean this version, and no other, from now on."""
        with self._asking() as client:
            client.set_registered_model_alias(self.name, alias, version.number)

    def register(self, model: str, night: str, experiment: str) -> Version:
        """Make the model directory at `model` the next version; the one of this night, if it is.

        Args:
            night: its folder.
            experiment: for a run that keeps the files, where the training has left none.
        """
        for version in self.versions():
            if version.night == night:
                return version
        with self._asking() as client:
            run_id, source = self._kept(client, model, experiment)
            with _suppress_existing():
                client.create_registered_model(self.name)
            made = client.create_model_version(self.name, source, run_id, tags={_NIGHT: night})
            return _version(made)

    def fetch(self, version: Version, output: str) -> str:
        """Copy the version's model to below `output`; return the copy's URL."""
        try:
            return mlflow_model.fetch(
                f"models:/{self.name}/{version.number}", output, self._settings
            )
        except InputError as error:  # no mistake of the user's, as the version is there
            raise RunError(str(error)) from error

    def remove(self, version: Version) -> None:
        """Remove a version that no alias names, and its files; its run stays, with its metrics."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._asking() as client, _none_if_missing():
            if client.get_model_version(self.name, version.number).aliases:
                return
            client.delete_model_version(self.name, version.number)
            artifacts = client.get_run(version.run_id).info.artifact_uri
            with suppress(NotImplementedError):  # a store that removes them itself
                get_artifact_repository(artifacts).delete_artifacts(_FILES)  # type: ignore[no-untyped-call]

    def _search(self, client: MlflowClient) -> Iterator[Any]:
        token: Optional[str] = None
        while True:
            page = client.search_model_versions(f"name='{self.name}'", page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _kept(self, client: MlflowClient, model: str, experiment: str) -> tuple[str, str]:
        """The run that keeps the model's files, and where: its training's, or one of our own."""
        run_id = _run_of_training(client, model, self._uri) or self._new_run(client, experiment)
        card = model_directory.read_card(model)
        there = {entry.path for entry in client.list_artifacts(run_id, _FILES)}
        with tempfile.TemporaryDirectory() as folder:  # MLflow takes local files only
            for name in (card.network, HISTORY, CARD):
                if f"{_FILES}/{name}" not in there:
                    path = Path(folder, name)
                    path.write_bytes(storage.read_bytes(storage.join(model, name)))
                    client.log_artifact(run_id, str(path), _FILES)
        return run_id, f"{client.get_run(run_id).info.artifact_uri}/{_FILES}"

    def _new_run(self, client: MlflowClient, experiment: str) -> str:
        from halftone.tracking import mlflow_store

        run = client.create_run(mlflow_store.experiment_id(client, self._uri, experiment))
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    @contextmanager
    def _asking(self) -> Iterator[MlflowClient]:
        """Give the client, and say in our words what fails."""
        from halftone.tracking import mlflow_store  # here, as it takes seconds

        with mlflow_model.told(self._uri):
            try:
                if self._own is None:
                    self._own = mlflow_store.connect(self._uri)
                yield self._own
            except RunError:
                raise
            except Exception as error:  # MLflow's own, and those of its stores
                said = tracking.without_password(" ".join(str(error).split()))
                raise RunError(f"{self}: {said}; run the same command again to go on") from error


def _version(found: Any) -> Version:
    return Version(
        str(found.version),
        str(found.run_id),
        str((found.tags or {}).get(_NIGHT, "")),
        tuple(found.aliases or ()),
    )


def _run_of_training(client: MlflowClient, model: str, uri: str) -> str:
    """The run that the training at `model` has, as long as this store has it; else ""."""
    with suppress(FileNotFoundError):
        kept = storage.read_json(storage.join(model, model_directory.TRACKING))
        if kept.get("tracking_uri") == tracking.without_password(uri):
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
