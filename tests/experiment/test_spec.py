from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from halftone.config import ConfigError
from halftone.experiment import spec


def error_of(raw: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        spec.parse_spec(raw, source="table.yaml")
    return str(caught.value)


RUN = {"name": "one"}
VALUES = {"train.epochs": [1, 2]}
TOP = (
    "runs, grid, random, search, choose, name, about, source, parallel, on, score, "
    "folds, base, stages"
)


def search_mapping(prune: bool = False, **entry: Any) -> dict[str, Any]:
    """A search over the range of one key."""
    return {"trials": 2, "prune": prune, "space": {"key": entry or {"low": 1, "high": 9}}}


MISTAKES = [
    ({"runs": [RUN]}, "name: is missing"),
    ({"name": "a"}, "no runs; set runs, grid, random or search"),
    ({"name": "a", "grid": {}, "runs": []}, "no runs; set runs, grid, random or search"),
    (
        {"name": "a", "run": [RUN]},
        f"run: unknown key; did you mean runs? valid here: {TOP}",
    ),
    (
        {"name": "a", "runs": [{"name": "one", "sets": {}}]},
        "runs.0.sets: unknown key; did you mean set? valid here: name, set, paper, note",
    ),
    (
        {"name": "a", "runs": [{"name": "one", "paper": {"auc": 0.9}}]},
        "runs.0.paper.auc: unknown key; valid here: accuracy, loss, precision, recall, f1, "
        "mistakes, train_secs",
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
        "grid.train.epochs = 3: must be a list of values, or a mapping of names to values",
    ),
    (
        {"name": "a", "grid": {"train.epochs": []}},
        "grid.train.epochs: has no values; add at least one",
    ),
    (
        {"name": "a", "grid": {"train.epochs": [1, 2, 1]}},
        "grid.train.epochs: has the value 1 twice; remove one",
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
        {"name": "a", "stages": [{"name": "b", "runs": [RUN]}], "grid": VALUES},
        "grid: cannot be combined with stages; move it into one of them",
    ),
    (
        {"name": "a", "stages": [{"name": "b", "runs": [RUN]}, {"name": "b", "grid": VALUES}]},
        'stages.1.name = "b": is the name of an earlier stage',
    ),
    (
        {"name": "a", "stages": [{"name": "b", "runs": [RUN], "best_of": "c"}]},
        'stages.0.best_of = "c": must be an earlier stage: there is none',
    ),
    (
        {
            "name": "a",
            "stages": [
                {"name": "b", "runs": [RUN]},
                {"name": "c", "runs": [RUN], "best_of": "d"},
                {"name": "d", "runs": [RUN]},
            ],
        },
        'stages.1.best_of = "d": must be an earlier stage: b',
    ),
    (
        {"name": "a", "stages": [{"name": "b"}]},
        "stages.0: no runs; set runs, grid, random or search",
    ),
    (
        {"name": "a", "stages": [{"name": "b", "runs": [RUN], "best": "c"}]},
        "stages.0.best: unknown key; did you mean best_of? valid here: runs, grid, random, "
        "search, choose, name, about, best_of, set, subset",
    ),
    (
        {"name": "a", "runs": [RUN], "choose": {"metric": "f1"}},
        'choose.metric = "f1": needs the scores of the validation split; add validation to score',
    ),
    (
        {"name": "a", "runs": [RUN], "search": search_mapping()},
        "search: cannot be combined with runs; move it into a stage of its own",
    ),
    ({"name": "a", "search": {"trials": 1}}, "search.space: is missing"),
    (
        {"name": "a", "search": {**search_mapping(), "sampler": "gaussian"}},
        "search.sampler = \"gaussian\": must be 'tpe', 'gp', 'random' or 'grid'",
    ),
    (
        {"name": "a", "search": search_mapping(prune=True), "folds": 3},
        "search.prune: cannot be combined with folds; remove one of them",
    ),
    (
        {
            "name": "a",
            "score": ["validation"],
            "choose": {"metric": "f1"},
            "search": search_mapping(prune=True),
        },
        "search.prune: epochs have no f1; choose loss or accuracy",
    ),
    (
        {"name": "a", "search": {"trials": 1, "space": {}}},
        "search.space: has no keys; add at least one with its values or its range",
    ),
    (
        {
            "name": "a",
            "search": {
                "trials": 5,
                "space": {"seed": [1, 2], "train.epochs": {"low": 1, "high": 2}},
            },
        },
        "search.trials = 5: is more than the 4 combinations of search.space",
    ),
    (
        {"name": "a", "search": {**search_mapping(low=0.1, high=1), "sampler": "grid"}},
        "search.space.key: sampler grid needs a list of values or a step",
    ),
    *(
        ({"name": "a", "search": search_mapping(**entry)}, f"search.space.key{mistake}")
        for entry, mistake in (
            ({"low": 2, "high": 2}, ": low 2 must be below high 2"),
            (
                {"low": 0, "high": 2, "log": True},
                ": low 0 has no logarithm; use a value above 0, or log: false",
            ),
            (
                {"low": 1, "high": 2, "log": True, "step": 1},
                ": step 1 cannot be combined with log: true; remove one of them",
            ),
            (
                {"low": 1, "high": 2, "step": 0},
                ": step 0 must be above 0 and at most high - low = 1",
            ),
            (
                {"low": 1, "high": 9, "step": 0.5},
                ": step 0.5 must be an integer, because low and high are integers",
            ),
            ({"low": 1}, ".high: is missing"),
            ({"low": 1, "high": "many"}, '.high = "many": must be a number'),
            ({"low": 1, "high": 2, "log": 3}, ".log = 3: must be true or false"),
            (
                {"low": 1, "high": 2, "base": 3},
                ".base: unknown key; valid here: low, high, log, step",
            ),
        )
    ),
    (
        {"name": "a", "search": {"trials": 1, "space": {"key": 3}}},
        "search.space.key = 3: must be a list of values, or {low, high, log, step}",
    ),
    (
        {"name": "a", "search": {"trials": 1, "space": {"key": []}}},
        "search.space.key: has no values; add at least one",
    ),
    (
        {"name": "a", "random": {"from": {}, "count": 1}},
        "random.from: has no keys; add at least one with its values",
    ),
    (
        {"name": "a", "random": {"from": VALUES, "count": 1, "balance": "seed"}},
        'random.balance = "seed": must be one of the keys of random.from: train.epochs',
    ),
]


@pytest.mark.parametrize(("raw", "mistake"), MISTAKES, ids=[mistake for _, mistake in MISTAKES])
def test_a_mistake_is_reported_with_file_and_key(raw: dict[str, Any], mistake: str) -> None:
    assert error_of(raw) == f"table.yaml: 1 mistake\n  {mistake}"


def test_all_mistakes_are_reported_at_once() -> None:
    raw = {"name": "a", "grid": {"train.epochs": [], "seed": [3, 3]}}
    assert error_of(raw) == (
        "table.yaml: 2 mistakes\n"
        "  grid.train.epochs: has no values; add at least one\n"
        "  grid.seed: has the value 3 twice; remove one"
    )


def test_a_file_is_parsed_like_any_config(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    path.write_text("name: a\nruns: [{name: one, set: {train.learning_rate: 1e-3}}]\n")
    assert spec.load_spec(str(path)).runs[0].set == {"train.learning_rate": 0.001}
    path.write_text("name: a\nname: b\n")
    with pytest.raises(ConfigError, match=r"not YAML: line 2, column 1: key 'name' is given"):
        spec.load_spec(str(path))


def test_a_config_is_no_experiment() -> None:
    path = str(Path(__file__).parents[2] / "conf" / "faces.yaml")
    with pytest.raises(ConfigError) as caught:
        spec.load_spec(path)
    assert str(caught.value) == (
        f"{path}: is a config and no experiment, which has its settings below `base`; begin with "
        "one of conf/experiments"
    )
