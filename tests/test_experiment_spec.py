from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from halftone.config import ConfigError
from halftone.experiment import spec


def error_of(raw: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        spec.from_mapping(raw, source="table.yaml")
    return str(caught.value)


RUN = {"name": "one"}
VALUES = {"train.epochs": [1, 2]}
TOP = "name, about, source, synthetic, parallel, base, runs, grid, random"

MISTAKES = [
    ({"runs": [RUN]}, "name: is missing"),
    ({"name": "a"}, "no runs: give runs, grid or random"),
    ({"name": "a", "grid": {}, "runs": []}, "no runs: give runs, grid or random"),
    (
        {"name": "a", "run": [RUN]},
        f"run: unknown key; did you mean runs? valid here: {TOP}",
    ),
    (
        {"name": "a", "runs": [{"name": "one", "sets": {}}]},
        "runs.0.sets: unknown key; did you mean set? valid here: name, set, paper, note",
    ),
    (
        {"name": "a", "runs": [{"name": "one", "paper": {"f1": 0.9}}]},
        "runs.0.paper.f1: unknown key; valid here: accuracy, loss",
    ),
    (
        {"name": "a", "runs": [{"name": "one", "paper": {"accuracy": 98.2}}]},
        "runs.0.paper.accuracy = 98.2: must be less than or equal to 1",
    ),
    ({"name": "a", "runs": [{"set": {}}]}, "runs.0.name: is missing"),
    (
        {"name": "a", "runs": [{"name": "../one"}]},
        "runs.0.name = \"../one\": String should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$'",
    ),
    (
        {"name": "a", "parallel": 0, "runs": [RUN]},
        "parallel = 0: must be greater than or equal to 1",
    ),
    (
        {"name": "a", "grid": {"train.epochs": 3}},
        "grid.train.epochs = 3: must be a valid array",
    ),
    (
        {"name": "a", "grid": {"train.epochs": []}},
        "grid.train.epochs: has no values; give at least one",
    ),
    (
        {"name": "a", "grid": {"train.epochs": [1, 2, 1]}},
        "grid.train.epochs: has the value 1 twice; take one out",
    ),
    (
        {"name": "a", "random": {"from": VALUES}},
        "random.count: is missing",
    ),
    (
        {"name": "a", "random": {"form": VALUES, "from": VALUES, "count": 1}},
        "random.form: unknown key; did you mean from? valid here: from, count, seed, balance",
    ),
    (
        {"name": "a", "random": {"from": {}, "count": 1}},
        "random.from: has no keys; give at least one with its values",
    ),
    (
        {"name": "a", "random": {"from": VALUES, "count": 1, "balance": "seed"}},
        'random.balance = "seed": must be one of the keys of random.from: train.epochs',
    ),
]


@pytest.mark.parametrize(("raw", "mistake"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_named_with_file_and_key(raw: dict[str, Any], mistake: str) -> None:
    assert error_of(raw) == f"table.yaml: 1 mistake\n  {mistake}"


def test_all_mistakes_are_named_at_once() -> None:
    raw = {"name": "a", "grid": {"train.epochs": [], "seed": [3, 3]}}
    assert error_of(raw) == (
        "table.yaml: 2 mistakes\n"
        "  grid.train.epochs: has no values; give at least one\n"
        "  grid.seed: has the value 3 twice; take one out"
    )


def test_a_file_is_read_as_every_config_is(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    path.write_text("name: a\nruns: [{name: one, set: {train.learning_rate: 1e-3}}]\n")
    assert spec.load(str(path)).runs[0].set == {"train.learning_rate": 0.001}
    path.write_text("name: a\nname: b\n")
    with pytest.raises(ConfigError, match="not YAML: key 'name' is given twice"):
        spec.load(str(path))
