"""Predicts probabilities of images, in Spark's Python workers and for MLflow's clients."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt

from halftone.config.score import NO_VIEWS
from halftone.errors import RunError
from halftone.metrics import calibration, thresholds
from halftone.scoring.views import VIEWS, predict_views

Probabilities = npt.NDArray[np.float32]
# From a batch (N, H, W, C) uint8 to the network's outputs (N, F).
Network = Callable[[npt.NDArray[np.uint8]], Probabilities]


class PredictorSettings(NamedTuple):
    """The model, and how to predict with it."""

    network: str  # URL
    version: str  # of the model
    labels: tuple[str, ...]
    shape: tuple[int, int, int]  # height, width, channels
    batch_size: int  # views of images per forward pass
    threads: int  # cores per Spark task
    temperature: float = 1.0  # by which probabilities are scaled
    threshold: float = thresholds.DEFAULT_THRESHOLD  # between two classes
    views: str = NO_VIEWS  # key of VIEWS: their mean probabilities are the prediction


def predict_probabilities(
    predictor: PredictorSettings, images: npt.NDArray[np.uint8]
) -> Probabilities:
    """Return the probabilities (rows, classes) of images (rows, H, W, C).

    The process loads the network once, for all calls until one with another network.

    Raises:
        RunError: a probability is not finite.
    """
    if not len(images):  # without loading the network
        return np.empty((0, len(predictor.labels)), np.float32)
    network = _load_network(predictor.network, predictor.threads, predictor.views)
    return run_network(network, predictor, images)


def run_network(
    network: Network, predictor: PredictorSettings, images: npt.NDArray[np.uint8]
) -> Probabilities:
    """Do what `predict_probabilities` does, with a network that is already loaded."""
    if not len(images):
        return np.empty((0, len(predictor.labels)), np.float32)
    # All views of an image are in one forward pass, which needs no more memory than without views.
    batch_size = max(1, predictor.batch_size // len(VIEWS[predictor.views]))
    outputs: list[Probabilities] = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        # All batches have the same size: TensorFlow would trace the network again for another one.
        filler = np.zeros((batch_size - len(batch), *predictor.shape), np.uint8)
        outputs.append(network(np.concatenate([batch, filler]))[: len(batch)])
    output = np.concatenate(outputs)
    num_nonfinite = int((~np.isfinite(output)).any(axis=1).sum())
    if num_nonfinite:
        raise RunError(
            f"model {predictor.version} predicts NaN or infinity for {num_nonfinite} of "
            f"{len(images)} images; train it again with a lower train.learning_rate or with "
            "train.clip_norm"
        )
    # A single sigmoid output is the probability of the second of two classes.
    probabilities = np.hstack([1 - output, output]) if output.shape[1] == 1 else output
    return calibration.apply_temperature(probabilities, predictor.temperature)


@lru_cache(maxsize=1)
def _load_network(url: str, threads: int, views: str) -> Network:
    """Return a function that predicts a batch; the worker keeps it for all its tasks."""
    return _compile_network(load_model(url, threads), views)


@lru_cache(maxsize=1)
def load_model(url: str, threads: int) -> Any:
    """Load a Keras model from storage; the worker keeps it for all its tasks."""
    limit_threads(threads)
    _take_named_gpu()
    from halftone.models import saved_model

    return saved_model.load_network(url)


def limit_threads(threads: int) -> None:
    """Set the number of cores that TensorFlow uses in this process.

    Raises:
        RuntimeError: it has computed something already, with another number of them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf  # here, because only workers need it

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _take_named_gpu() -> None:
    """Compute on the first GPU of CUDA_VISIBLE_DEVICES, and on none if it is not set.

    Spark's assignment is there, see `spark.task_gpus`. Without one all tasks of a machine would
    share a card, whose memory may not be enough for them.
    """
    from halftone.models import gpus  # imports TensorFlow

    with suppress(RuntimeError):  # the worker has computed before, and stays where it did
        if "CUDA_VISIBLE_DEVICES" in os.environ:
            gpus.take_gpu()
        else:
            gpus.take_no_gpu()


def load_network(url: str, views: str) -> Network:
    """Load a network from storage, which no other caller shares.

    It computes on a GPU if there is one, and takes memory there as it needs it: other processes,
    such as other workers of a server, may use the same card.

    Args:
        views: key of VIEWS.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from halftone.models import gpus, saved_model

    # Not if the process has computed before, or has divided the card by itself.
    with suppress(RuntimeError, ValueError):
        gpus.take_gpu()
    return _compile_network(saved_model.load_network(url), views)


def _compile_network(model: Any, views: str) -> Network:
    import tensorflow as tf

    forward = tf.function(lambda batch: predict_views(model, batch, VIEWS[views]))

    def predict(batch: npt.NDArray[np.uint8]) -> Probabilities:
        return np.asarray(forward(tf.constant(batch)))

    return predict
