"""Embeddings of images: what the last layer of a network gets. Runs in Spark's Python workers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Callable

import numpy as np
import numpy.typing as npt

from halftone.scoring import predict
from halftone.scoring.predict import PredictorSettings

# More are projected at random to so many, which preserves distances (W. Johnson, J. Lindenstrauss,
# "Extensions of Lipschitz mappings into a Hilbert space", 1984).
MAX_DIMENSIONS = 256
_PROJECTION_SEED = 0

Embeddings = npt.NDArray[np.float32]


def embed_images(predictor: PredictorSettings, images: npt.NDArray[np.uint8]) -> Embeddings:
    """Return the embeddings (rows, D) of images (rows, H, W, C); D is at most MAX_DIMENSIONS.

    Each is the input of the network's last layer, averaged over positions if there are any.
    """
    embed = _load_embedding_network(predictor.network, predictor.threads)
    size = predictor.batch_size
    batches = [embed(images[start : start + size]) for start in range(0, len(images), size)]
    embeddings: Embeddings = np.concatenate([batch.reshape(len(batch), -1) for batch in batches])
    dimensions = embeddings.shape[1]
    if dimensions <= MAX_DIMENSIONS:
        return embeddings
    generator = np.random.default_rng(_PROJECTION_SEED)
    projection = generator.normal(0, MAX_DIMENSIONS**-0.5, (dimensions, MAX_DIMENSIONS))
    return (embeddings @ projection).astype(np.float32)


@lru_cache(maxsize=1)
def _load_embedding_network(
    url: str, threads: int
) -> Callable[[npt.NDArray[np.uint8]], Embeddings]:
    model: Any = predict.load_model(url, threads)
    import tensorflow as tf  # here, because only workers need it

    features = model.layers[-1].input
    if features.shape.rank == 4:
        features = tf.reduce_mean(features, axis=[1, 2])
    network = tf.keras.Model(model.inputs, tf.cast(features, tf.float32))
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)]
    forward = tf.function(lambda batch: network(batch, training=False), input_signature=signature)

    def embed(batch: npt.NDArray[np.uint8]) -> Embeddings:
        return np.asarray(forward(tf.constant(batch)))

    return embed
