from __future__ import annotations

from pathlib import Path

import pytest

from halftone import storage
from halftone.preflight import probe_storage
from halftone.preflight.probe_storage import NOT_SHARED, Probe
from halftone.storage import clients


@pytest.fixture(params=["local", "remote"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "data") if request.param == "local" else f"memory://{tmp_path.name}/data"


def test_a_store_that_does_what_it_should(folder: str) -> None:
    storage.write_bytes(storage.join(folder, "in", "one.png"), b"1")
    probe = Probe((storage.join(folder, "in"),), (storage.join(folder, "a", "out"),), "token")
    with probe_storage.planted(probe) as errors:
        assert errors == {probe.writes[0]: ""}
        for name in ("driver", "executor-1"):
            assert probe_storage.answers(probe, name) == {probe.reads[0]: "", probe.writes[0]: ""}
        assert storage.list_names(storage.join(probe.writes[0], ".halftone-check-token")) == [
            "planted"
        ]
    assert storage.list_names(folder) == ["in"]


def test_what_stands_is_left_alone(folder: str) -> None:
    storage.write_bytes(storage.join(folder, "model.json"), b"{}")
    with probe_storage.planted(Probe((), (folder,), "token")):
        pass
    assert storage.list_names(folder) == ["model.json"]


def test_a_folder_that_another_machine_does_not_see(folder: str) -> None:
    probe = Probe((), (folder,), "token")
    assert probe_storage.answers(probe, "executor-1") == {folder: NOT_SHARED}
    assert not storage.exists(folder)


def test_nothing_to_read(folder: str) -> None:
    assert probe_storage.answers(Probe((folder,), (), "token"), "driver") == {
        folder: "nothing is there"
    }


def test_a_store_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    url = str(tmp_path / "file" / "out")
    with probe_storage.planted(Probe((), (url,), "token")) as errors:
        assert errors == {url: "NotADirectoryError: Not a directory"}

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Forbidden")

    url = "memory://refused/out"
    monkeypatch.setattr(clients.opened(url)[0], "pipe_file", refuse)
    with probe_storage.planted(Probe((), (url,), "token")) as errors:
        assert errors == {
            url: f"{url}/.halftone-check-token/planted: the store refuses: Forbidden; check the "
            "credentials and what they may do (docs/storage.md says where they are looked for)"
        }
