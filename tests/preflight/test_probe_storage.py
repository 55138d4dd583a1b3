from __future__ import annotations

from pathlib import Path

import pytest

from halftone import storage
from halftone.preflight import probe_storage
from halftone.preflight.probe_storage import NOT_EXCLUSIVE, NOT_SHARED, StorageProbe
from halftone.storage import clients


@pytest.fixture(params=["local", "remote"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "data") if request.param == "local" else f"memory://{tmp_path.name}/data"


def test_working_store_passes_and_is_cleaned_up(folder: str) -> None:
    storage.write_bytes(storage.join(folder, "in", "one.png"), b"1")
    probe = StorageProbe(
        (storage.join(folder, "in"),), (storage.join(folder, "a", "out"),), "token"
    )
    with probe_storage.plant_files(probe) as errors:
        assert errors == {probe.writes[0]: ""}
        for name in ("driver", "executor-1"):
            assert probe_storage.check_urls(probe, name) == {
                probe.reads[0]: "",
                probe.writes[0]: "",
            }
        assert storage.list_names(storage.join(probe.writes[0], ".halftone-check-token")) == [
            "planted"
        ]
    assert storage.list_names(folder) == ["in"]


def test_existing_files_are_left_alone(folder: str) -> None:
    storage.write_bytes(storage.join(folder, "model.json"), b"{}")
    with probe_storage.plant_files(StorageProbe((), (folder,), "token")):
        pass
    assert storage.list_names(folder) == ["model.json"]


def test_folder_that_machines_do_not_share(folder: str) -> None:
    probe = StorageProbe((), (folder,), "token")
    assert probe_storage.check_urls(probe, "executor-1") == {folder: NOT_SHARED}
    assert not storage.exists(folder)


def test_a_store_that_creates_a_file_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some take no notice of the header If-None-Match."""
    folder = f"memory://{tmp_path.name}/ignores"
    store = clients.open_filesystem(folder)[0]
    write = store.pipe_file
    monkeypatch.setattr(store, "pipe_file", lambda path, data, **_: write(path, data))
    probe = StorageProbe((), (folder,), "token")
    with probe_storage.plant_files(probe) as errors:
        assert errors == {folder: ""}
        assert probe_storage.check_urls(probe, "executor-1") == {folder: NOT_EXCLUSIVE}
    assert storage.list_names(folder) == []


def test_missing_input(folder: str) -> None:
    assert probe_storage.check_urls(StorageProbe((folder,), (), "token"), "driver") == {
        folder: "nothing is there"
    }


def test_a_store_that_denies_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    url = str(tmp_path / "file" / "out")
    with probe_storage.plant_files(StorageProbe((), (url,), "token")) as errors:
        assert errors == {url: "NotADirectoryError: Not a directory"}

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Forbidden")

    url = "memory://refused/out"
    monkeypatch.setattr(clients.open_filesystem(url)[0], "pipe_file", refuse)
    with probe_storage.plant_files(StorageProbe((), (url,), "token")) as errors:
        assert errors == {
            url: f"{url}/.halftone-check-token/planted: the store denies access: Forbidden; check "
            "the credentials and their permissions (docs/how-to/storage.md lists where "
            "credentials are looked up)"
        }
