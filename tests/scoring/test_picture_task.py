"""Pictures of raw images for their page; the loader of networks is replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import saved_model
from halftone import arrow
from halftone.config import PixelSpec
from halftone.scoring import predict
from halftone.scoring.picture_task import WANTED, draw_pictures
from halftone.scoring.predict import PredictorSettings
from tables import table

SPEC = PixelSpec(height_px=12, width_px=16, channels=3)
PREDICTOR = PredictorSettings("net", "v1", ("cat", "dog"), SPEC.shape, batch_size=2, threads=1)


def draw(*rows: tuple[str, int, bool, int]) -> list[Any]:
    (result,) = draw_pictures(PREDICTOR, SPEC, [table(WANTED, *rows)])
    return list(arrow.iter_rows(result, *result.column_names))


def test_pictures_are_decoded_as_for_the_model_and_reduced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        predict, "load_model", lambda *_: saved_model.one_place_network(SPEC.shape, 2)
    )
    pixels = np.random.default_rng(0).integers(1, 256, SPEC.shape, np.uint8)
    url = str(tmp_path / "a.png")
    cv2.imwrite(url, pixels[:, :, ::-1])
    (tmp_path / "text.png").write_text("not an image")
    gone, text = str(tmp_path / "gone.png"), str(tmp_path / "text.png")
    first, second, *others = draw(
        (url, 1, True, 192), (url + "?", 1, True, 9), (gone, 1, True, 192), (text, 0, False, 192)
    )
    assert first[:3] == (url, 12, 16)
    assert np.array_equal(np.frombuffer(first[3], np.uint8).reshape(SPEC.shape), pixels)
    assert first[4:6] == (12, 16)
    expected = pixels.sum(axis=2) / 255 / (12 * 16)
    values = np.frombuffer(first[6], np.float32).reshape(12, 16)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert first[7] == ""
    for row, key in zip((second, *others), (url + "?", gone, text)):
        assert row == (key, 0, 0, b"", 0, 0, b"", "")
    ((_, height_px, width_px, data, *rest),) = draw((url, 1, False, 8))
    assert (height_px, width_px, len(data)) == (6, 8, 6 * 8 * 3)
    assert rest == [0, 0, b"", ""]
