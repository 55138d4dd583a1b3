"""Helpers for tests of serving: MLflow models in folders, requests, and MLflow's own server."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import cv2
import mlflow
import numpy as np
import pandas as pd
import tensorflow as tf

import saved_model
from conftest import small_config, stripes
from halftone import images, model_directory
from halftone.serving.mlflow_folder import write_mlflow_model
from tracked import free_port, wait_for

LABELS = ["lying", "upright"]
RUN_ID = "0123456789abcdef0123456789abcdef"


def write_folder(root: Path, bias: float = 0.0, **settings: Any) -> Path:
    """Write a model directory and its MLflow model below `root`; return the latter's folder."""
    model = saved_model.save(root / "model", small_config(**settings), LABELS, bias)
    write_mlflow_model(str(model), root / "mlflow", RUN_ID, "model")
    return root / "mlflow"


def jpeg(number: int) -> bytes:
    """Return a JPEG file of 40 x 48 px."""
    return cv2.imencode(".jpg", stripes(number, seed=number))[1].tobytes()


def expected(pixels: np.ndarray, bias: float = 0.0) -> np.ndarray:
    """Return the probabilities (N, 2) of pixels (N, 16, 16, 1)."""
    network = saved_model.network(pixels.shape[1:], len(LABELS), bias)
    return np.asarray(network(pixels))


def check_predictions(served: mlflow.pyfunc.PyFuncModel, model: Path, paths: list[Path]) -> None:
    """Check that an MLflow model predicts for image files what the network of `model` does.

    Args:
        model: a model directory of two classes.
    """
    info = model_directory.read_model_info(str(model))
    pixels = np.stack([images.decode(path.read_bytes(), info.pixels).pixels for path in paths])
    network = tf.keras.models.load_model(model / info.network, compile=False)
    answer = served.predict(pd.DataFrame({"url": list(map(str, paths))}))
    assert served.metadata.metadata["model_version"] == info.version
    predicted = [row[info.labels[1]] for row in answer["probability"]]
    np.testing.assert_allclose(predicted, network(pixels).numpy().ravel(), atol=1e-6)


class ModelClient:
    """Sends requests to a server of MLflow models."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def invoke(self, request: dict[str, Any]) -> tuple[int, Any]:
        """Return the HTTP status and the JSON of the answer."""
        body = json.dumps(request).encode()
        headers = {"Content-Type": "application/json"}
        try:
            answer = urllib.request.urlopen(
                urllib.request.Request(f"{self._url}/invocations", body, headers), timeout=60
            )
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, json.loads(answer.read(), parse_constant=_refuse)

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/ping", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


@contextmanager
def model_server(folder: Path, **environment: str) -> Iterator[ModelClient]:
    """Serve a model by `mlflow models serve`."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder)]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    # MLflow looks for uvicorn in PATH. What is in the model is used, not this checkout.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": "", **environment}
    process = subprocess.Popen(
        command,
        cwd=folder.parent,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    client = ModelClient(port)
    try:
        wait_for(_up_or_ended(client, process), secs=120)
        assert process.poll() is None
        yield client
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _up_or_ended(client: ModelClient, process: subprocess.Popen[bytes]) -> Callable[[], bool]:
    return lambda: client.is_up() or process.poll() is not None
