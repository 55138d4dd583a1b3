"""A small site at which mistakes are made: images, a dataset, a model, and the jobs' config.

Nothing of it can be trained on or scored: the shards are of the right size and hold nothing. So a
mistake that is found late is noticed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import fsspec
import h5py
import numpy as np
import pytest
import yaml

from example_manifest import example
from halftone import model_directory
from halftone.commands import main
from halftone.config import config_from_mapping
from halftone.dataset.manifest import publish_manifest
from halftone.model_directory import ModelInfo
from halftone.spark import session
from halftone.storage import clients
from halftone.system import job_process

LABELS = ("cat", "dog")
SETTINGS: dict[str, Any] = {
    "name": "site",
    "seed": 7,
    "pixels": {"height_px": 8, "width_px": 4, "channels": 3},
    "tracking": {"enabled": False},
    "train": {"batch_size": 2, "model": {"name": "mlp", "hidden": []}},
}


class Ended(NamedTuple):
    """How a job ended."""

    code: int
    message: str  # on stderr, without the line break at its end


def make_site(folder: Path) -> None:
    """Write images/, dataset/, model/, run.yaml, retrain.yaml and experiment.yaml to `folder`."""
    for label in LABELS:
        (folder / "images" / label).mkdir(parents=True)
        cv2.imwrite(str(folder / "images" / label / "1.png"), np.zeros((8, 4, 3), np.uint8))
    _write_dataset(folder / "dataset")
    _write_model(folder / "model")
    paths = {name: f"{folder}/{name}" for name in ("images", "dataset", "model", "scores")}
    paths["label_errors"] = f"{folder}/label-errors"
    config = {**SETTINGS, "paths": paths}
    _write_yaml(folder / "run.yaml", config)
    gate = {"floor": 0.5}
    retrain = {"folder": f"{folder}/retrain", "gate": gate}
    kept = {name: paths[name] for name in ("images", "dataset")}
    splits = {"test_fraction": 0.5}
    _write_yaml(
        folder / "retrain.yaml", {**config, "paths": kept, "splits": splits, "retrain": retrain}
    )
    base = {**{key: SETTINGS[key] for key in SETTINGS if key != "name"}}
    base["paths"] = {"images": paths["images"]}
    _write_yaml(
        folder / "experiment.yaml", {"name": "sizes", "base": base, "runs": [{"name": "one"}]}
    )


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def _write_dataset(folder: Path) -> None:
    """Two rows to train on and one to test on, in shards that hold no rows."""
    none_rejected = {"inputs": 3, "rejects": 0, "rejects_by_reason": {}, "rejects_files": []}
    data = example().model_copy(update=none_rejected)
    for shard in data.files or ():
        (folder / shard.path).parent.mkdir(parents=True)
        (folder / shard.path).write_bytes(b"x" * shard.size_bytes)
    publish_manifest(str(folder), data)


def _write_model(folder: Path) -> None:
    """A model whose network has one weight, and which only halftone.model_directory can read."""
    folder.mkdir()
    weights = BytesIO()
    with h5py.File(weights, "w") as file:
        file["dense/vars/0"] = np.zeros((1, 1), np.float32)
    network = BytesIO()
    with zipfile.ZipFile(network, "w") as archive:
        archive.writestr("model.weights.h5", weights.getvalue())
    config = config_from_mapping(SETTINGS, source="the site")
    info = ModelInfo(
        schema_version=1,
        halftone_version="0.1.0",
        created="2026-01-02T03:04:05+00:00",
        version="v1",
        network="network-v1.keras",
        labels=list(LABELS),
        pixels=config.pixels,
        fingerprint="f",
        best_epoch=1,
        ranks=1,
        train_secs=1.0,
        origin={},
        config=config,
    )
    entry = {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "secs": 1.0, "images_per_sec": 9.0}
    (folder / "history.json").write_text(json.dumps({"best_epoch": 1, "epochs": [entry]}))
    model_directory.write_model(str(folder), info, network.getvalue())


def run_here(command: Sequence[str]) -> Ended:
    """Run `halftone COMMAND` in this process, in which Spark must not start."""
    stderr = StringIO()
    quiet = redirect_stdout(StringIO())
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(stderr), quiet:
        patch.setattr(job_process, "set_report", lambda _: None)
        patch.setattr(session, "_start_session", _refuse_to_start)
        patch.setattr(session, "prepare_session", _refuse_to_start)
        with _kept_client_options():
            try:
                code = main.main(command)
            except SystemExit as ended:  # of argparse
                code = int(ended.code or 0)
    return Ended(code, _without_usage(stderr.getvalue()))


def run_process(command: Sequence[str]) -> Ended:
    """Run `halftone COMMAND` in a process of its own; its progress is left out of the message."""
    done = subprocess.run(
        [sys.executable, "-m", "halftone", *command], capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr
    lines = done.stderr.rstrip("\n").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    return Ended(done.returncode, "\n".join(lines[starts[0] :] if starts else lines))


def _without_usage(text: str) -> str:
    """Leave out the lines in which argparse shows the usage."""
    lines = text.rstrip("\n").splitlines()
    if lines and lines[0].startswith("usage: "):
        lines = lines[[line.startswith("halftone") for line in lines].index(True) :]
    return "\n".join(lines)


def _refuse_to_start(*_: object) -> None:
    raise AssertionError("the mistake is found after Spark has started")


@contextmanager
def _kept_client_options() -> Iterator[None]:
    """Restore what `clients.set_options` changes."""
    with pytest.MonkeyPatch.context() as patch:
        environment = dict(os.environ)
        patch.setattr(clients, "_configured_protocols", set())
        for protocol in ("s3", "gs"):
            patch.setitem(fsspec.config.conf, protocol, {})
        clients._open_client.cache_clear()
        try:
            yield
        finally:
            clients._open_client.cache_clear()
            for name in set(os.environ) - set(environment):
                del os.environ[name]
            os.environ.update(environment)
