"""Predicts probabilities of images in Spark's Python workers; each loads the model once."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt

from halftone.config.score import NO_VIEWS
from halftone.errors import RunError
from halftone.metrics import calibration, thresholds
from halftone.scoring.views import VIEWS, predict_views

Probabilities = npt.NDArray[np.float32]


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

    Raises:
        RunError: a probability is not finite.
    """
    if not len(images):
        return np.empty((0, len(predictor.labels)), np.float32)
    network = _load_network(predictor.network, predictor.threads, predictor.views)
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
def _load_network(
    url: str, threads: int, views: str
) -> Callable[[npt.NDArray[np.uint8]], Probabilities]:
    """Load a network from storage; the worker keeps it for all its tasks."""
    tf = import_tensorflow(threads)
    from halftone.models import saved_model

    model: Any = saved_model.load_network(url)
    forward = tf.function(lambda batch: predict_views(model, batch, VIEWS[views]))

    def predict(batch: npt.NDArray[np.uint8]) -> Probabilities:
        return np.asarray(forward(tf.constant(batch)))

    return predict


def import_tensorflow(threads: int) -> Any:
    """Import TensorFlow, which only workers need, and limit its threads."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf
