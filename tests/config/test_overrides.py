from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from halftone import config
from halftone.config import ConfigError, keys, overrides
from halftone.config.overrides import Override, read_environment, variable_name

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "run.yaml"
    path.write_text("train: {epochs: 3, batch_size: 8, ranks: 2}\n")
    return str(path)


def test_every_setting_has_a_variable_of_its_own() -> None:
    names = [variable_name(key) for key in keys.known_keys()]
    assert len(set(names)) == len(names) > 150
    assert variable_name("train.model.batch_norm_momentum") == (
        "HALFTONE_TRAIN_MODEL_BATCH_NORM_MOMENTUM"
    )


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("HALFTONE_SEED", "3", "seed", 3),
        ("HALFTONE_TRAIN_BATCH_SIZE", "32", "train.batch_size", 32),
        ("HALFTONE_TRAIN_MODEL_NAME", "mlp", "train.model.name", "mlp"),
        ("HALFTONE_TRAIN_MODEL_HEAD_DENSE", "[8, 4]", "train.model.head.dense", [8, 4]),
        ("HALFTONE_TRAIN_MODEL", "{name: mlp}", "train.model", {"name": "mlp"}),
        ("HALFTONE_SPARK_CONF", "{spark.a: 5}", "spark.conf", {"spark.a": 5}),
        ("HALFTONE_RETRAIN_GATE_FLOOR", "0.9", "retrain.gate.floor", 0.9),
        ("HALFTONE_PATHS_IMAGES", "/a: b #c", "paths.images", "/a: b #c"),
        ("HALFTONE_PATHS_NEW_IMAGES", "010", "paths.new_images", "010"),
    ],
)
def test_variable_of_a_setting(variable: str, text: str, key: str, value: Any) -> None:
    assert read_environment({"HOME": "/", variable: text}) == [Override(key, value, variable)]


def test_empty_variable_sets_nothing() -> None:
    assert read_environment({"HALFTONE_TRAIN_EPOCHS": ""}) == []


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("HALFTONE_TRAIN_EPOCH", "did you mean HALFTONE_TRAIN_EPOCHS, for train.epochs"),
        ("HALFTONE_EPOCHS", "did you mean HALFTONE_TRAIN_EPOCHS, for train.epochs"),
        ("HALFTONE_SEEDS", "did you mean HALFTONE_SEED, for seed"),
        ("HALFTONE_SPARK_CONF_SPARK_A", "did you mean HALFTONE_SPARK_CONF, for spark.conf"),
        (
            "HALFTONE_TRAIN_MODEL_FILTER",
            "did you mean HALFTONE_TRAIN_MODEL_FILTERS, for train.model.filters",
        ),
    ],
)
def test_variable_that_looks_like_a_setting(variable: str, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_environment({variable: "3", "HALFTONE_SEED": "3"})
    assert str(caught.value) == (
        f"environment: 1 mistake\n  {variable}: no setting has this variable; {advice}? Otherwise "
        "unset it"
    )


def test_variables_of_the_project_are_no_settings() -> None:
    files = [ROOT / "build.sh", *(ROOT / "benchmarks").glob("*.py")]
    for folder in ("conf", "lib", "jobs"):
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    text = "\n".join(
        path.read_text(errors="replace") for path in files if "config" not in path.parts
    )
    names = {*re.findall(r"HALFTONE_[A-Z0-9_]*[A-Z0-9]", text)}
    assert {"HALFTONE_CACHE", "HALFTONE_HOME", "HALFTONE_STUDY", "HALFTONE_WHEELS"} <= names
    settings = {variable_name(key) for key in keys.known_keys()}
    assert read_environment(dict.fromkeys(names - settings, "/a/path")) == []
    assert read_environment({"HALFTONE_NOTES": "mine", "OTHER_TRAIN_EPOCHS": "3"}) == []


@pytest.mark.parametrize(
    "name",
    [
        *("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_DRIVER_RPC_PORT", "PORT"),
        *("PORT_7078_TCP", "PORT_7078_TCP_PROTO", "PORT_7078_TCP_PORT", "PORT_7078_UDP_ADDR"),
    ],
)
def test_variables_of_kubernetes_for_a_service_are_no_settings(name: str) -> None:
    assert read_environment({f"HALFTONE_TRAIN_DRIVER_SVC_{name}": "tcp://10.0.0.1:7078"}) == []


def test_file_then_environment_then_set(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFTONE_TRAIN_BATCH_SIZE", "16")
    monkeypatch.setenv("HALFTONE_TRAIN_EPOCHS", "4")
    monkeypatch.setenv("HALFTONE_PATHS_IMAGES", "from-environment")
    monkeypatch.setenv("HALFTONE_PATHS_DATASET", "from-environment")
    loaded = config.load_config(file, ["train.epochs=5"], {"images": "from-flag", "dataset": None})
    assert (loaded.train.ranks, loaded.train.batch_size, loaded.train.epochs) == (2, 16, 5)
    assert (loaded.paths.images, loaded.paths.dataset) == ("from-flag", "from-environment")


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        (
            "HALFTONE_TRAIN_EPOCHS",
            "many",
            'HALFTONE_TRAIN_EPOCHS: 1 mistake\n  train.epochs = "many": must be a valid integer',
        ),
        (
            "HALFTONE_TRAIN_EPOCHS",
            "010",
            "HALFTONE_TRAIN_EPOCHS: 1 mistake\n  train.epochs = 010: readers of YAML take this for "
            'a decimal or an octal number; write 10 or 8, or "010" in quotes for a text',
        ),
        (
            "HALFTONE_TRAIN_BATCH_SIZE",
            "5",
            "run.yaml with HALFTONE_TRAIN_BATCH_SIZE: 1 mistake\n  train: batch_size 5 is not "
            "divisible by the 2 ranks; use 4 or 6",
        ),
        (
            "HALFTONE_TRAIN_MODEL_DENSE",
            "[3",
            "HALFTONE_TRAIN_MODEL_DENSE: not YAML: line 1, column 3: expected ',' or ']', but got "
            "the end (while parsing a flow sequence from line 1)",
        ),
    ],
)
def test_a_mistake_names_the_variable(
    file: str, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, message: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError) as caught:
        config.load_config(file)
    assert str(caught.value).replace(file, "run.yaml") == message


def test_settings_from_another_process_are_read_without_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HALFTONE_TRAIN_EPOCHS", "4")
    assert config.config_from_mapping({"train": {"epochs": 3}}, "a job").train.epochs == 3
    given = [overrides.parse_assignment("seed=5")]
    assert config.apply_overrides({"seed": 1}, given) == {"seed": 5}
