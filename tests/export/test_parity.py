"""How far predictions differ, on rows of a dataset and on random pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from halftone.errors import RunError
from halftone.export.dataset_rows import LabelledImages
from halftone.export.parity import Parity, check_parity, compare_predictions


class Rows:
    """Three images whose first pixel is 10, 20 and 30, of the classes 0, 1 and 1."""

    def __str__(self) -> str:
        return "the test split of data"

    def batches(self, batch_size: int) -> Any:
        pixels = np.uint8([10, 20, 30]).reshape(3, 1, 1, 1)
        yield LabelledImages(pixels[:2], np.array([0, 1]))
        yield LabelledImages(pixels[2:], np.array([1]))


def predictor(probabilities: dict[int, float]) -> Any:
    """A prediction of the second of two classes, by the first pixel."""

    def predict(pixels: np.ndarray) -> np.ndarray:
        second = np.float32([probabilities[int(pixel)] for pixel in pixels[:, 0, 0, 0]])
        return np.stack([1 - second, second], axis=1)

    return predict


def test_differences_and_accuracies_of_rows() -> None:
    keras, export = predictor({10: 0.2, 20: 0.6, 30: 0.9}), predictor({10: 0.2, 20: 0.4, 30: 1.0})
    parity = compare_predictions(keras, export, (1, 1, 1), Rows())  # type: ignore[arg-type]
    assert parity.images == "the test split of data"
    assert parity.rows == 3
    assert parity.max_difference == pytest.approx(0.2)
    assert parity.mean_difference == pytest.approx(0.1)
    assert parity.changed_predictions == 1
    assert parity.keras_accuracy == 1
    assert parity.accuracy == pytest.approx(2 / 3)


def test_random_pixels_have_no_labels_and_are_the_same_in_each_call() -> None:
    seen: list[np.ndarray] = []

    def predict(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels)
        return np.full((len(pixels), 2), 0.5, np.float32)

    parities = [compare_predictions(predict, predict, (9, 7, 3), None) for _ in range(2)]
    assert parities[0] == Parity("random pixels", 64, 0, 0, 0, None, None) == parities[1]
    half = len(seen) // 2
    np.testing.assert_array_equal(np.concatenate(seen[:half]), np.concatenate(seen[half:]))
    assert seen[0].dtype == np.uint8
    assert seen[0].max() == 255


def test_large_images_are_predicted_in_small_batches() -> None:
    sizes: list[int] = []

    def predict(pixels: np.ndarray) -> np.ndarray:
        sizes.append(len(pixels))
        return np.full((len(pixels), 2), 0.5, np.float32)

    compare_predictions(predict, predict, (2048, 512, 3), None)
    assert max(sizes) == 21  # 64 MiB of pixels
    assert sum(sizes) == 2 * 64


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    keras, export = predictor({10: 0, 20: 0, 30: 0}), predictor({10: 0, 20: value, 30: 0})
    with pytest.raises(RunError, match="or NaN or infinity"):
        compare_predictions(keras, export, (1, 1, 1), Rows())  # type: ignore[arg-type]


def test_the_limit() -> None:
    parity = Parity("random pixels", 64, 1e-5, 1e-6, 0)
    check_parity(parity)
    for difference in (1.1e-5, float("nan")):
        with pytest.raises(RunError) as caught:
            check_parity(parity._replace(max_difference=difference))
        assert str(caught.value) == (
            "the export predicts other probabilities than Keras: on 64 images of random pixels "
            f"they differ by up to {difference:.2g}, and at most 1e-05 is allowed. Nothing was "
            "published. The format does not support a layer of this network; try another --format"
        )
