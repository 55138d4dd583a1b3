"""The model card of scores in the MLflow run of the model, in a real store."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from halftone import storage
from halftone.card.files import MODEL_CARD, write_card
from halftone.config import TrackingSettings
from halftone.tracking import mlflow_store
from halftone.tracking.scores_card import send_scores_card
from tracked import empty_store, files, free_port


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the scores of a model, which MLflow does not know yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_card(str(tmp_path / "scores"), MODEL_CARD, "# Model card: faces\n")
    return tmp_path


def send(folder: Path, uri: str, enabled: bool = True) -> None:
    settings = TrackingSettings(uri=uri, enabled=enabled)
    send_scores_card(settings, str(folder / "model"), str(folder / "scores"), "test")


def know(folder: Path, uri: str, run_id: str) -> None:
    tracked = {"tracking_uri": uri, "run_id": run_id}
    storage.write_json(str(folder / "model" / "mlflow.json"), tracked)


def test_the_card_becomes_an_artifact_of_the_run(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{folder}/mlflow.db"
    (folder / "mlflow.db").write_bytes(empty_store())
    client = MlflowClient(uri)
    run = client.create_run(mlflow_store.get_or_create_experiment(client, uri, "faces"))
    know(folder, uri, run.info.run_id)
    capfd.readouterr()
    send(folder, uri)
    assert capfd.readouterr() == (
        f"tracked: scores/test/model_card.md in run {run.info.run_id}\n",
        "",
    )
    names = ["scores/test/model_card.html", "scores/test/model_card.md"]
    assert files(uri, run) == names
    path = MlflowClient(uri).download_artifacts(run.info.run_id, names[1], str(folder))
    assert Path(path).read_text() == "# Model card: faces\n"


def test_nothing_is_sent_for_a_model_that_mlflow_does_not_know(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    here, elsewhere = f"http://127.0.0.1:{free_port()}", "http://elsewhere"
    send(folder, here)  # there is no mlflow.json
    know(folder, elsewhere, "a" * 32)
    send(folder, here)
    know(folder, here, "a" * 32)
    send(folder, here, enabled=False)
    store = f"sqlite:///{folder}/none.db"
    know(folder, store, "a" * 32)
    send(folder, store)
    assert not (folder / "none.db").exists()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_server_that_cannot_be_reached_gives_a_warning(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    know(folder, f"http://me:***@127.0.0.1:{port}", "a" * 32)
    send(folder, f"http://me:pa55@127.0.0.1:{port}")
    output, error = capfd.readouterr()
    assert output == ""
    assert error == (
        f"tracking: http://me:***@127.0.0.1:{port}: the model card was not sent: [Errno 111] "
        "Connection refused\n"
    )
