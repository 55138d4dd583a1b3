"""Which GPU a process takes: functions of TensorFlow are replaced as on a machine with GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow import keras

from halftone.models import gpus
from halftone.scoring import predict

Calls = list[tuple[object, ...]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The calls of the functions that choose GPUs, on a machine with `card 0` and `card 1`."""
    made: Calls = []
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda _: ["card 0", "card 1"])
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda *arguments: made.append(("takes", *arguments))
    )
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda *values: made.append(("grows", *values))
    )
    return made


@pytest.mark.parametrize(("number", "card"), [(0, "card 0"), (1, "card 1"), (2, "card 0")])
def test_a_process_takes_the_card_of_its_number(calls: Calls, number: int, card: str) -> None:
    assert gpus.take_gpu(number)
    assert calls == [("takes", card, "GPU"), ("grows", card, True)]


def test_there_may_be_no_card(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda _: [])
    assert not gpus.take_gpu()
    assert calls == []


def test_a_worker_that_scores_takes_a_card_only_if_one_is_named(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    predict._take_named_gpu()
    assert calls == [("takes", "card 0", "GPU"), ("grows", "card 0", True)]
    calls.clear()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    predict._take_named_gpu()
    assert calls == [("takes", [], "GPU")]


def test_a_worker_that_has_computed_goes_on_where_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(tf.config, "set_visible_devices", refuse)
    predict._take_named_gpu()


def test_a_served_network_takes_one_card_with_memory_as_it_is_needed(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = keras.Sequential([keras.layers.Input((2, 2, 1)), keras.layers.Flatten()])
    url = str(tmp_path / "network.keras")
    model.save(url)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    predict.load_network(url, "none")
    assert calls == [("takes", "card 0", "GPU"), ("grows", "card 0", True)]

    def refuse(*_: object) -> None:
        raise ValueError("Cannot set memory growth on device when virtual devices configured")

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    predict.load_network(url, "none")
