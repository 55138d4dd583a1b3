from __future__ import annotations

import json
from pathlib import Path
from typing import Callable

import pytest

import saved_model
from example_manifest import example
from halftone import model_directory
from halftone.config import Config
from halftone.errors import InputError
from halftone.model_directory import ModelInfo, Restart


def test_add_restart_appends(tmp_path: Path) -> None:
    root = str(tmp_path / "model")
    assert model_directory.read_restarts(root) == []
    restarts = [Restart(epoch=0, message="rank 1 was lost"), Restart(epoch=3, message="rank 0 too")]
    for restart in restarts:
        model_directory.add_restart(root, restart)
    assert model_directory.read_restarts(root) == restarts
    assert json.loads((tmp_path / "model" / "restarts.json").read_text()) == [
        {"epoch": 0, "message": "rank 1 was lost"},
        {"epoch": 3, "message": "rank 0 too"},
    ]


def test_a_model_fits_datasets_whose_pixels_have_the_same_values(
    tmp_path: Path, config: Callable[..., Config]
) -> None:
    saved_model.save(tmp_path / "model", config(), ["cat", "dog"])
    info = model_directory.read_model_info(str(tmp_path / "model"))
    raw, png, jpeg = (
        example().model_copy(
            update={"pixels": info.pixels.model_copy(update={"encoding": encoding})}
        )
        for encoding in ("raw", "png", "jpeg")
    )
    model_directory.check_model_fits(info, raw, "m", "d")
    model_directory.check_model_fits(info, png, "m", "d")
    with pytest.raises(InputError) as caught:
        model_directory.check_model_fits(info, jpeg, "m", "d")
    assert str(caught.value) == (
        "the model at m does not fit the dataset at d: pixels differ: encoding 'raw' and 'jpeg'. "
        "Preprocess with the model's settings, or train on this dataset"
    )


@pytest.mark.parametrize(
    "names",
    [
        [],
        [
            "_lock",
            "logs",
            "mlflow.json",
            "restarts.json",
            "stop",
        ],  # a training without a checkpoint
        ["checkpoints", "thesis.doc"],
        ["model.json", "thesis.doc"],
    ],
)
def test_model_root_is_accepted(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    model_directory.check_model_root(str(tmp_path))


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (["thesis.doc"], "thesis.doc"),
        (["logs", "thesis.doc"], "thesis.doc"),
        (["a", "b", "c", "d"], "a, b, c, ..."),
    ],
)
def test_root_with_other_files_is_refused(tmp_path: Path, names: list[str], listed: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError) as caught:
        model_directory.check_model_root(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: exists and is not a model (it holds {listed}); give another --output"
    )


def test_setting_missing_in_an_old_fingerprint_has_its_default(
    config: Callable[..., Config],
) -> None:
    old = model_directory.training_fingerprint(config(), example())
    del old["train"]["decay"], old["train"]["augment"]["flip"], old["train"]["model"]["filters"]
    model_directory.check_training_fingerprint(
        "out/model", old, model_directory.training_fingerprint(config(), example())
    )
    cosine = model_directory.training_fingerprint(
        config(train={"decay": "cosine", "epochs": 3}), example()
    )
    with pytest.raises(InputError) as caught:
        model_directory.check_training_fingerprint("out/model", old, cosine)
    assert str(caught.value) == (
        "out/model holds a training with other settings: "
        "train.decay: 'none' there, 'cosine' now; train.epochs: None there, 3 now. "
        "Give another --output, or remove it"
    )


def test_number_of_epochs_is_in_the_fingerprint_only_with_decay(
    config: Callable[..., Config],
) -> None:
    fingerprints_3, fingerprints_4 = (
        [
            model_directory.training_fingerprint(
                config(train={"decay": decay, "epochs": epochs}), example()
            )
            for decay in ("none", "plateau", "cosine", "one_cycle")
        ]
        for epochs in (3, 4)
    )
    assert [a == b for a, b in zip(fingerprints_3, fingerprints_4)] == [True, True, False, False]


def saved_network(tmp_path: Path, config: Callable[..., Config], bias: float) -> ModelInfo:
    saved_model.save(tmp_path / "model", config(), ["cat", "dog"], bias)
    return model_directory.read_model_info(str(tmp_path / "model"))


def test_network_of_finite_weights_is_accepted(
    tmp_path: Path, config: Callable[..., Config]
) -> None:
    info = saved_network(tmp_path, config, bias=-3.0)
    model_directory.check_network(str(tmp_path / "model"), info)


@pytest.mark.parametrize("bias", [float("nan"), float("inf")])
def test_network_with_weights_that_are_not_finite_is_refused(
    tmp_path: Path, config: Callable[..., Config], bias: float
) -> None:
    info = saved_network(tmp_path, config, bias)
    with pytest.raises(InputError) as caught:
        model_directory.check_network(str(tmp_path / "model"), info)
    assert str(caught.value) == (
        f"{tmp_path}/model/network-v{bias}.keras: 1 of the network's 2 arrays of weights "
        "(layers/dense/vars/1) holds NaN or infinity: the training "
        "diverged, and the model predicts nothing. Train again with a lower train.learning_rate "
        "or with train.clip_norm"
    )


def test_damaged_network_file_is_refused(tmp_path: Path, config: Callable[..., Config]) -> None:
    info = saved_network(tmp_path, config, bias=0.0)
    (tmp_path / "model" / info.network).write_bytes(b"PK")
    with pytest.raises(InputError) as caught:
        model_directory.check_network(str(tmp_path / "model"), info)
    assert str(caught.value) == (
        f"{tmp_path}/model/network-v0.0.keras is damaged (File is not a zip file); restore it, or "
        "train again"
    )
