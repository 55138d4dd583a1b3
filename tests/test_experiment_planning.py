from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone import config
from halftone.config import ConfigError
from halftone.experiment import planning, spec
from halftone.experiment.spec import Draw
from test_networks_of_papers import CIFAR, REGULARISED, REGULARISED_COUNTS, VARIANTS

EXPERIMENTS = Path(__file__).parents[1] / "conf" / "experiments"
BASE = {"paths": {"images": "in"}, "train": {"epochs": 3, "batch_size": 8}}


def plan(overrides: Mapping[str, Any] = MappingProxyType({}), **settings: Any) -> planning.Plan:
    raw = {"name": "study", "base": BASE, **settings}
    return planning.plan(spec.from_mapping(raw, "table.yaml"), "table.yaml", overrides)


def error_of(**settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        plan(**settings)
    return str(caught.value)


def test_runs_grid_and_random_are_one_list_each_with_its_config() -> None:
    made = plan(
        runs=[{"name": "own", "set": {"train.model": {"name": "mlp", "hidden": [5]}}}],
        grid={"train.epochs": [4, 5], "train.model.filters": [[8], [8, 16]]},
        random={"from": {"train.learning_rate": [0.5]}, "count": 1},
    )
    assert [(one.name, one.config.train.epochs) for one in made.trials] == [
        ("own", 3),
        ("epochs-4_filters-8", 4),
        ("epochs-4_filters-8x16", 4),
        ("epochs-5_filters-8", 5),
        ("epochs-5_filters-8x16", 5),
        ("learning_rate-0.5", 3),
    ]
    assert made.trials[0].config.train.model == config.Mlp(hidden=(5,))
    assert made.trials[2].config.train.model == config.Convnet(filters=(8, 16))
    assert made.trials[5].config.train.learning_rate == 0.5
    assert {one.config.train.batch_size for one in made.trials} == {8}
    assert {one.config.tracking.experiment for one in made.trials} == {"study"}
    assert [one.config.name for one in made.trials][:2] == ["own", "epochs-4_filters-8"]


def test_overrides_win_over_every_run() -> None:
    made = plan(
        {"train.epochs": 1, "paths.images": "other"},
        runs=[{"name": "one"}, {"name": "two", "set": {"train.epochs": 9}}],
    )
    assert [one.config.train.epochs for one in made.trials] == [1, 1]
    assert [one.config.paths.images for one in made.trials] == ["other", "other"]
    assert BASE["train"] == {"epochs": 3, "batch_size": 8}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"a.one": 1, "b.one": 2}, "a.one-1_b.one-2"),
        ({"model": {"name": "mlp", "hidden": []}}, "model-name-mlp-hidden-none"),
        ({"normalise": "-0.5..0.5", "flip": True}, "normalise--0.5..0.5_flip-true"),
        ({"splits.from_path": "^(a|b)/"}, "from_path--a-b-"),
    ],
)
def test_a_combination_is_named_by_its_values(settings: dict[str, Any], name: str) -> None:
    assert planning.name_of(settings) == name


REFUSED = [
    (
        {"runs": [{"name": "one"}, {"name": "two"}, {"name": "one"}]},
        "table.yaml: two runs have the name one; rename one",
    ),
    (
        {"runs": [{"name": "one", "set": {"train.epoch": 3}}]},
        "table.yaml: run one: 1 mistake\n  train.epoch: unknown key; did you mean epochs? valid "
        f"here: {', '.join(config.Train.model_fields)}",
    ),
    (
        {"grid": {"train.epochs": [3, "many"]}},
        'table.yaml: run epochs-many: 1 mistake\n  train.epochs = "many": must be a valid integer',
    ),
    (
        {"runs": [{"name": "one"}], "base": {**BASE, "seed": -1}},
        "table.yaml: base: 1 mistake\n  seed = -1: must be greater than or equal to 0",
    ),
    (
        {"runs": [{"name": "one"}], "base": {}},
        "table.yaml: base: paths.images is not set; give it there or as --input URL",
    ),
    (
        {"runs": [{"name": "one", "set": {"paths.model": "m"}}]},
        "table.yaml: run one: paths.model: an experiment places all but paths.images below its "
        "output; take it out",
    ),
    (
        {"runs": [{"name": "one", "set": {"score.split": "train"}}]},
        'table.yaml: run one: score.split = "train": an experiment scores the test split; take '
        "it out",
    ),
    (
        {"runs": [{"name": "deep", "set": {"train.model.filters": [8] * 6}}]},
        "table.yaml: run deep: images of height 64 px are too small for train.model: convolution "
        "5 needs 3 px and gets 2; use padding same, a smaller kernel or fewer filters, or "
        "preprocess to a larger size",
    ),
    (
        {"random": {"from": {"train.epochs": [1, 2], "seed": [1, 2, 3]}, "count": 7}},
        "table.yaml: random.count = 7: is more than the 6 combinations of random.from",
    ),
]


@pytest.mark.parametrize(("settings", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_cannot_run_is_refused_with_file_run_and_key(
    settings: dict[str, Any], said: str
) -> None:
    assert error_of(**settings) == said


SPACES = st.dictionaries(
    st.sampled_from(["a", "b.c", "d"]),
    st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
    min_size=1,
)


@given(SPACES)
def test_a_grid_has_each_combination_once(space: dict[str, list[int]]) -> None:
    found = [tuple(one.items()) for one in planning.combinations(space)]
    count = 1
    for values in space.values():
        count *= len(values)
    assert len(found) == len(set(found)) == count
    assert len({planning.name_of(dict(one)) for one in found}) == count


@given(SPACES, st.integers(0, 5), st.data())
def test_a_draw_repeats_nothing_is_balanced_and_always_the_same(
    space: dict[str, list[int]], seed: int, data: st.DataObject
) -> None:
    every = list(planning.combinations(space))
    count = data.draw(st.integers(1, len(every)))
    balance = data.draw(st.sampled_from(sorted(space)))
    settings = Draw(**{"from": space}, count=count, seed=seed, balance=balance)
    drawn = planning.draw(settings)
    assert len(drawn) == count
    assert all(one in every and drawn.count(one) == 1 for one in drawn)
    counts = Counter(dict.fromkeys(space[balance], 0))
    counts.update(one[balance] for one in drawn)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert planning.draw(settings) == drawn


def test_another_seed_draws_others() -> None:
    space = {"a": [*range(10)], "b": [*range(10)]}
    first, second = (planning.draw(Draw(**{"from": space}, count=5, seed=s)) for s in (0, 1))
    assert first != second


def planned(name: str) -> planning.Plan:
    path = str(EXPERIMENTS / f"{name}.yaml")
    return planning.plan(spec.load(path), path, {"paths.images": "in"})


def network(settings: dict[str, Any]) -> object:
    return config.from_mapping({"train": {"model": settings}}, "test").train.model


def test_the_regularised_convnets_are_those_of_the_paper() -> None:
    trials = {one.name: one for one in planned("regularised-convnets").trials}
    assert {name: one.config.train.model for name, one in trials.items()} == {
        f"{model} {variant}".replace(f"{model} ", f"{model.replace(' ', '-')}.").replace(
            "batch norm", "batch-norm"
        ): network({**REGULARISED[model], **VARIANTS[variant]})
        for model, variant in REGULARISED_COUNTS
    }
    shared = {(one.config.train.epochs, one.config.train.batch_size) for one in trials.values()}
    assert shared == {(20, 64)}
    figures = {name: (one.paper.loss, one.paper.accuracy) for name, one in trials.items()}
    assert figures == {
        "model-1.base": (0.0075, 0.9982),
        "model-1.dropout": (0.012, 0.9985),
        "model-1.batch-norm": (0.0001, 1.0),
        "model-1.dense": (0.0002, 0.9997),
        "model-2.base": (0.0084, 0.9987),
        "model-2.dropout": (0.0063, 0.999),
        "model-2.batch-norm": (2.51e-05, 1.0),
        "model-2.dense": (0.003, 0.9992),
        "model-3.base": (0.0083, 0.9982),
        "model-3.dropout": (0.0032, 0.9995),
        "model-3.batch-norm": (0.0001, 1.0),
        "model-3.dense": (2.28e-05, 1.0),
    }


def test_the_cifar10_ablation_is_that_of_the_paper() -> None:
    trials = {one.name: one for one in planned("cifar10-ablation").trials}
    # As its text has them, 5.A to 5.C change how 4.D is trained.
    settings = {**{name: one[0] for name, one in CIFAR.items()}}
    settings.update(dict.fromkeys(("5.A", "5.B", "5.C"), CIFAR["4.D"][0]))
    assert {name: one.config.train.model for name, one in trials.items()} == {
        name: network(own) for name, own in settings.items()
    }
    assert [one.paper.accuracy for one in trials.values()] == [
        *(0.3359, 0.3932, 0.4105, 0.4089, 0.6432, 0.6903, 0.5231, 0.2587, 0.1607, 0.4552),
    ]
    trained = {name: one.config.train for name, one in trials.items()}
    assert {one.epochs for one in trained.values()} == {300}
    assert {one.optimizer for one in trained.values()} == {"sgd"}
    assert {name: one.batch_size for name, one in trained.items() if one.batch_size != 64} == {
        "5.A": 256
    }
    rates = {name: one.learning_rate for name, one in trained.items()}
    assert {name: rate for name, rate in rates.items() if rate != 0.001} == {"5.B": 0.1}
