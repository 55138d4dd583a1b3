"""Predicts images for MLflow's clients, which load a model through this module.

This module and those that it imports travel with each model, see `code_files`. They must not need
Spark or what trains a model.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Optional

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    TEMPORARILY_UNAVAILABLE,
)
from pydantic import ValidationError

from halftone.errors import InputError, RunError
from halftone.images import ImageRejectedError
from halftone.metrics import thresholds
from halftone.scoring import predict, views
from halftone.scoring.predict import PredictorSettings
from halftone.serving import image_inputs
from halftone.serving.image_inputs import Decoded
from halftone.serving.served_model import ServedModel, ServingSettings, read_served_model
from halftone.serving.text_column import text_column
from halftone.storage.clients import AccessDeniedError, StoreError

# Parameters of a request, and columns of its answer.
THRESHOLD, TEMPERATURE = "threshold", "temperature"
LABEL, PROBABILITY, REASON, DETAIL = "label", "probability", "reason", "detail"
DEFAULT_TEMPERATURE = 1.0
# MLflow's code of an error; the first kind that fits counts.
_ERROR_CODES = (
    (InputError, INVALID_PARAMETER_VALUE),  # HTTP status 400
    (AccessDeniedError, PERMISSION_DENIED),  # 403
    (StoreError, TEMPORARILY_UNAVAILABLE),  # 503
    (RunError, INTERNAL_ERROR),  # 500
)


def _load_pyfunc(
    path: str, model_config: Optional[Mapping[str, Any]] = None
) -> ImageClassifier:  # the name and the arguments are MLflow's
    """Load the model in a local folder.

    Args:
        model_config: values of ServingSettings.

    Raises:
        MlflowException: a setting is wrong.
    """
    with _mlflow_errors():
        try:
            settings = ServingSettings.model_validate(dict(model_config or {}))
        except ValidationError as error:
            mistakes = (f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
            raise InputError(f"model_config: {'; '.join(mistakes)}") from None
        return ImageClassifier(path, read_served_model(path), settings)


class ImageClassifier:
    """A network with what it needs to predict images.

    Args:
        folder: local folder of the model.
        model: its description.
        settings: how to predict.
    """

    def __init__(self, folder: str, model: ServedModel, settings: ServingSettings) -> None:
        self._model, self._settings = model, settings
        height_px, width_px, _ = model.pixels.shape
        views.check_image_size(settings.views, height_px, width_px)
        network = os.path.join(folder, model.network)
        if settings.threads:
            _limit_threads(settings.threads)
        self._network = predict.load_network(network, settings.views)
        self._predictor = PredictorSettings(
            network=network,
            version=model.version,
            labels=tuple(model.labels),
            shape=model.pixels.shape,
            batch_size=settings.batch_size,
            threads=settings.threads or 0,
            views=settings.views,
        )

    def predict(
        self, model_input: pd.DataFrame, params: Optional[Mapping[str, Any]] = None
    ) -> pd.DataFrame:
        """Predict the image of each row.

        Args:
            model_input: columns `image` (bytes of an image file), `url` (of an image file) and
                `pixels` (whole numbers 0..255 in the shape of the model); one of them in each row.
            params: `threshold` between two classes, and `temperature` by which the logits are
                divided.

        Returns:
            A row for each of the input: `label`, `probability` (by label), `reason` and `detail`.
            If the image cannot be decoded, the label is null, the probabilities are empty, and the
            last two say why; else these are null.

        Raises:
            MlflowException: the request is wrong, or a store does not respond.
        """
        with _mlflow_errors():
            predictor = self._with_params(params or {})
            columns = image_inputs.find_columns(model_input)
            # In blocks: the pixels of all rows may need much more memory than their files.
            num_at_once = self._settings.batch_size
            blocks = [
                self._predict_block(
                    predictor, model_input[start : start + num_at_once], columns, start
                )
                for start in range(0, len(model_input), num_at_once)
            ]
        return _to_table([row for block in blocks for row in block], model_input.index)

    def _with_params(self, params: Mapping[str, Any]) -> PredictorSettings:
        threshold = float(params.get(THRESHOLD, thresholds.DEFAULT_THRESHOLD))
        temperature = float(params.get(TEMPERATURE, DEFAULT_TEMPERATURE))
        if not 0 < threshold < 1:
            raise InputError(f"{THRESHOLD} is {threshold}; it must be between 0 and 1")
        if not (temperature > 0 and math.isfinite(temperature)):
            raise InputError(f"{TEMPERATURE} is {temperature}; it must be above 0")
        return self._predictor._replace(threshold=threshold, temperature=temperature)

    def _predict_block(
        self,
        predictor: PredictorSettings,
        rows: pd.DataFrame,
        columns: Sequence[str],
        start: int,
    ) -> list[tuple[Any, ...]]:
        """Return label, probabilities, reason and detail of rows, the first of which is `start`."""
        decoded = image_inputs.read_images(
            rows,
            columns[start : start + len(rows)],
            self._model.pixels,
            start,
            self._settings.url_prefixes,
        )
        pixels = [item for item in decoded if isinstance(item, np.ndarray)]
        probabilities = predict.run_network(
            self._network,
            predictor._replace(batch_size=self._batch_size(len(pixels))),
            np.stack(pixels) if pixels else np.empty((0, *predictor.shape), np.uint8),
        )
        labels = thresholds.predict_classes(probabilities, predictor.threshold)
        predicted = iter(zip(labels.tolist(), probabilities.tolist()))
        return [self._to_row(item, predicted) for item in decoded]

    def _to_row(
        self, decoded: Decoded, predicted: Iterator[tuple[int, list[float]]]
    ) -> tuple[Any, ...]:
        if isinstance(decoded, ImageRejectedError):
            return None, {}, decoded.reason, decoded.detail
        label_id, probabilities = next(predicted)
        labels = self._model.labels
        return labels[label_id], dict(zip(labels, probabilities)), None, None

    def _batch_size(self, num_images: int) -> int:
        """Return the views per forward pass for some images.

        Their number is rounded up to a power of two: a few images need not fill a large batch, and
        TensorFlow traces the network for each size once.
        """
        num_views = len(views.VIEWS[self._settings.views])
        rounded = 1 << max(0, num_images - 1).bit_length()
        return min(self._settings.batch_size, rounded * num_views)


def _limit_threads(threads: int) -> None:
    try:
        predict.limit_threads(threads)
    except RuntimeError:
        raise InputError(
            f"model_config: threads is {threads}, but TensorFlow has computed in this process "
            "already, with another number of threads; leave threads out, or load the model first"
        ) from None


def _to_table(rows: Sequence[tuple[Any, ...]], index: pd.Index[Any]) -> pd.DataFrame:
    label, probability, reason, detail = zip(*rows) if rows else ((), (), (), ())
    return pd.DataFrame(
        {
            LABEL: text_column(label),
            PROBABILITY: list(probability),
            REASON: text_column(reason),
            DETAIL: text_column(detail),
        },
        index,
    )


@contextmanager
def _mlflow_errors() -> Iterator[None]:
    """Turn errors into those of MLflow, whose server answers them with the right HTTP status."""
    try:
        yield
    except (InputError, RunError) as error:
        code = next(code for kind, code in _ERROR_CODES if isinstance(error, kind))
        raise MlflowException(str(error), code) from error  # type: ignore[no-untyped-call]
