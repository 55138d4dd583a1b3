"""SavedModels: their signatures, and predictions of pixels and of image files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf

from exported_networks import exported_network, images
from halftone.config import PixelSpec
from halftone.export import saved_model_folder
from halftone.images import decode
from large_pictures import drawing, texture

# Of probabilities, for a picture whose pixels differ by one grey level here and there. Larger in a
# network that reacts to single grey levels.
MAX_DIFFERENCE = 0.01


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved")
    spec = PixelSpec(height_px=32, width_px=32, channels=3)
    saved_model_folder.write_model(exported_network("whitened"), spec, str(path))
    return path


@pytest.fixture(scope="module")
def saved(folder: Path) -> Any:
    return tf.saved_model.load(str(folder / "saved_model"))


def test_signatures(saved: Any) -> None:
    assert set(saved.signatures) == {"serving_default", "serving_bytes"}
    for name, expected in {
        "serving_default": {"pixels": tf.TensorSpec([None, 32, 32, 3], tf.uint8, "pixels")},
        "serving_bytes": {"image_bytes": tf.TensorSpec([None], tf.string, "image_bytes")},
    }.items():
        signature = saved.signatures[name]
        assert signature.structured_input_signature == ((), expected)
        outputs = signature.structured_outputs
        assert {key: (value.dtype, value.shape.as_list()) for key, value in outputs.items()} == {
            "probabilities": (tf.float32, [None, 3]),
            "label": (tf.string, [None]),
        }


def test_pixels_give_the_probabilities_of_keras_and_the_label(saved: Any) -> None:
    pixels = images((32, 32, 3))
    expected = exported_network("whitened").predict()(pixels)
    output = saved.signatures["serving_default"](pixels=tf.constant(pixels))
    np.testing.assert_array_equal(output["probabilities"], expected)
    labels = [b"abc"[number : number + 1] for number in expected.argmax(axis=1)]
    assert len(set(labels)) > 1
    assert output["label"].numpy().tolist() == labels


def test_two_classes_have_two_columns_and_the_second_wins_a_tie(tmp_path: Path) -> None:
    pixels = tf.keras.Input((1, 1, 1), dtype="uint8")
    # Grey level 128 gives exactly 0.5.
    output = tf.keras.layers.Rescaling(1 / 256)(tf.keras.layers.Flatten()(pixels))
    network = tf.keras.Model(pixels, output)
    exported = saved_model_folder.ExportedNetwork(network, ["no", "yes"], (1, 1, 1))
    spec = PixelSpec(height_px=1, width_px=1)
    saved_model_folder.write_model(exported, spec, str(tmp_path))
    signature = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    output = signature(pixels=tf.constant(np.uint8([64, 127, 128]).reshape(3, 1, 1, 1)))
    np.testing.assert_allclose(output["probabilities"][0], [0.75, 0.25])
    assert output["label"].numpy().tolist() == [b"no", b"no", b"yes"]


def test_image_files_are_predicted_as_by_scoring(saved: Any) -> None:
    """Scoring decodes by `images.decode`."""
    spec = PixelSpec(height_px=32, width_px=32, channels=3)
    rng = np.random.default_rng(3)
    files, pixels = [], []
    for picture in (drawing(rng), texture(rng)):
        for _ in range(8):
            height_px, width_px = (int(side) for side in rng.integers(40, 900, 2))
            top, left = (int(start) for start in rng.integers(0, 300, 2))
            part = picture[top : top + height_px, left : left + width_px]
            data = cv2.imencode(".jpg", np.ascontiguousarray(part))[1].tobytes()
            files.append(data)
            pixels.append(decode(data, spec).pixels)
    expected = exported_network("whitened").predict()(np.stack(pixels))
    assert expected.std(axis=0).max() > 0.05
    output = saved.signatures["serving_bytes"](image_bytes=tf.constant(files))
    difference = abs(output["probabilities"].numpy() - expected)
    assert difference.max() <= MAX_DIFFERENCE


def test_a_batch_may_hold_several_formats(saved: Any) -> None:
    pixels = images((32, 32, 3), 3)
    files = [
        cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]))[1].tobytes()
        for suffix, image in zip((".png", ".bmp", ".png"), pixels)
    ]
    output = saved.signatures["serving_bytes"](image_bytes=tf.constant(files))
    expected = exported_network("whitened").predict()(pixels)
    np.testing.assert_allclose(output["probabilities"], expected, atol=1e-6)


def test_only_the_network_is_saved(folder: Path) -> None:
    """Keras would add the traces of all its layers."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names == [
        "saved_model/fingerprint.pb",
        "saved_model/saved_model.pb",
        "saved_model/variables/variables.data-00000-of-00001",
        "saved_model/variables/variables.index",
    ]
    size_bytes = (folder / names[2]).stat().st_size
    assert size_bytes < 4 * exported_network("whitened").network.count_params() + 2000
