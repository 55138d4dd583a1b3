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
from halftone.config import ConfigError, overlay_settings, read_environment
from halftone.experiment import combining, spec
from halftone.experiment.planning import RunPlanner, Trial
from halftone.experiment.spec import RandomSpec
from paper_networks import (
    CIFAR,
    REGULARISED,
    REGULARISED_COUNTS,
    VARIANTS,
    VGG,
    searched,
)

EXPERIMENTS = Path(__file__).parents[2] / "conf" / "experiments"
BASE = {"paths": {"images": "in"}, "train": {"epochs": 3, "batch_size": 8}}


def plan_stages(
    overrides: Mapping[str, Any] = MappingProxyType({}), **settings: Any
) -> dict[str, list[Trial]]:
    raw = {"name": "study", "base": BASE, **settings}
    return RunPlanner(spec.parse_spec(raw, "table.yaml"), "table.yaml", overrides).plan_stages()


def plan(overrides: Mapping[str, Any] = MappingProxyType({}), **settings: Any) -> list[Trial]:
    """Return the runs of the only stage."""
    (trials,) = plan_stages(overrides, **settings).values()
    return trials


def planning_error(**settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        plan(**settings)
    return str(caught.value)


def test_runs_of_list_grid_and_random_have_their_own_configs() -> None:
    trials = plan(
        runs=[{"name": "own", "set": {"train.model": {"name": "mlp", "hidden": [5]}}}],
        grid={"train.epochs": [4, 5], "train.model.filters": [[8], [8, 16]]},
        random={"from": {"train.learning_rate": [0.5]}, "count": 1},
    )
    assert [(trial.name, trial.config.train.epochs) for trial in trials] == [
        ("own", 3),
        ("epochs-4_filters-8", 4),
        ("epochs-4_filters-8x16", 4),
        ("epochs-5_filters-8", 5),
        ("epochs-5_filters-8x16", 5),
        ("learning_rate-0.5", 3),
    ]
    assert trials[0].config.train.model == config.Mlp(hidden=(5,))
    assert trials[2].config.train.model == config.Convnet(filters=(8, 16))
    assert trials[5].config.train.learning_rate == 0.5
    assert {trial.config.train.batch_size for trial in trials} == {8}
    assert {trial.config.tracking.experiment for trial in trials} == {"study"}
    assert [trial.config.name for trial in trials][:2] == ["own", "epochs-4_filters-8"]


def test_all_runs_are_tracked_in_one_experiment() -> None:
    def tracking_experiment(**settings: Any) -> Any:
        (trial,) = plan(runs=[{"name": "one"}], base={**BASE, "tracking": settings})
        return trial.config.tracking.experiment

    assert tracking_experiment() == tracking_experiment(uri="http://host") == "study"
    assert tracking_experiment(experiment="own") == "own"


def test_overrides_apply_to_every_run() -> None:
    trials = plan(
        {"train.epochs": 1, "paths.images": "other"},
        runs=[{"name": "one"}, {"name": "two", "set": {"train.epochs": 9}}],
    )
    assert [trial.config.train.epochs for trial in trials] == [1, 1]
    assert [trial.config.paths.images for trial in trials] == ["other", "other"]
    assert BASE["train"] == {"epochs": 3, "batch_size": 8}


def test_environment_overrides_the_base_and_not_what_a_run_sets() -> None:
    runs = [{"name": "one"}, {"name": "two", "set": {"train.epochs": 9}}]
    environment = read_environment(
        {
            "HALFTONE_TRAIN_EPOCHS": "5",
            "HALFTONE_TRAIN_BATCH_SIZE": "16",
            "HALFTONE_PATHS_DATASET": "that/of/another/job",
        }
    )
    experiment = spec.parse_spec({"name": "study", "base": BASE, "runs": runs}, "table.yaml")
    planner = RunPlanner(experiment, "table.yaml", {"train.batch_size": 4}, environment)
    one, two = planner.plan_stages()[""]
    assert [trial.config.train.epochs for trial in (one, two)] == [5, 9]
    assert [trial.config.train.batch_size for trial in (one, two)] == [4, 4]
    # As if the file had these settings: the identity of a run does not depend on where they are.
    base = overlay_settings(BASE, {"train.epochs": 5, "train.batch_size": 4})
    written = spec.parse_spec({"name": "study", "base": base, "runs": runs}, "table.yaml")
    assert RunPlanner(written, "table.yaml").plan_stages()[""] == [one, two]
    wrong = read_environment({"HALFTONE_TRAIN_EPOCHS": "0"})
    with pytest.raises(ConfigError) as caught:
        RunPlanner(experiment, "table.yaml", {}, wrong)
    assert str(caught.value) == (
        "HALFTONE_TRAIN_EPOCHS: 1 mistake\n  train.epochs = 0: must be greater than or equal to 1"
    )


def test_a_mistake_names_the_flag_that_it_comes_from() -> None:
    with pytest.raises(ConfigError) as caught:
        plan({"train.epochs": 0}, runs=[{"name": "one"}])
    assert str(caught.value) == (
        "--epochs: 1 mistake\n  train.epochs = 0: must be greater than or equal to 1"
    )


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_experiment_can_be_tried_for_one_epoch(path: Path) -> None:
    overrides = {"train.epochs": 1, "paths.images": "in"}
    stages = RunPlanner(spec.load_spec(str(path)), str(path), overrides).plan_stages()
    trials = [trial for stage in stages.values() for trial in stage]
    assert {trial.config.train.epochs for trial in trials} == {1}


@pytest.mark.parametrize(
    ("settings", "epochs", "shortened"),
    [
        ({"warmup_epochs": 3, "decay": "cosine"}, 3, {"warmup_epochs": 2, "decay": "cosine"}),
        ({"warmup_epochs": 3, "decay": "cosine"}, 4, {"warmup_epochs": 3, "decay": "cosine"}),
        ({"decay": "steps", "decay_epochs": [2, 5]}, 3, {"decay": "steps", "decay_epochs": (2,)}),
        ({"decay": "steps", "decay_epochs": [2, 5]}, 2, {"decay": "none", "decay_epochs": ()}),
        (
            {"unfreeze_after_epochs": 4, "unfreeze_learning_rate": 0.1, "warmup_epochs": 3},
            3,
            {"unfreeze_after_epochs": 2, "unfreeze_learning_rate": 0.1, "warmup_epochs": 1},
        ),
        (
            {"unfreeze_after_epochs": 4, "unfreeze_learning_rate": 0.1},
            1,
            {"unfreeze_after_epochs": None, "unfreeze_learning_rate": None, "warmup_epochs": 0},
        ),
    ],
)
def test_what_comes_after_the_last_epoch_of_a_trial_is_left_out(
    settings: Mapping[str, Any], epochs: int, shortened: Mapping[str, Any]
) -> None:
    frozen = {"freeze": "all", "start_from": "m"} if "unfreeze_after_epochs" in settings else {}
    base = {**BASE, "train": {"epochs": 9, "batch_size": 8, **settings, **frozen}}
    (trial,) = plan({"train.epochs": epochs}, base=base, runs=[{"name": "one"}])
    assert {name: getattr(trial.config.train, name) for name in shortened} == shortened
    assert trial.config.train.epochs == epochs
    (whole,) = plan(base=base, runs=[{"name": "one"}])
    assert whole.config.train.warmup_epochs == settings.get("warmup_epochs", 0)


def test_a_run_of_a_trial_may_have_a_decay_that_its_base_lost() -> None:
    base = {**BASE, "train": {"epochs": 9, "decay": "steps", "decay_epochs": [5]}}
    (trial,) = plan(
        {"train.epochs": 2}, base=base, runs=[{"name": "a", "set": {"train.decay_epochs": [1, 8]}}]
    )
    assert (trial.config.train.decay, trial.config.train.decay_epochs) == ("steps", (1,))


NARROW = {"train.model": {"name": "mlp", "hidden": [5]}}


def test_a_stage_inherits_the_settings_of_the_best_run_of_an_earlier_stage() -> None:
    raw = {
        "name": "study",
        "base": BASE,
        "stages": [
            {
                "name": "first",
                "set": {"train.batch_size": 16, "train.epochs": 9},
                "grid": {"train.learning_rate": [0.5, 0.25]},
            },
            {
                "name": "second",
                "best_of": "first",
                "set": {"train.epochs": 5},
                "runs": [
                    {"name": "a", "set": {"train.model.filters": [8]}},
                    {"name": "b", "set": NARROW},
                ],
            },
            {
                "name": "third",
                "best_of": "second",
                "runs": [{"name": "c", "set": {"train.model.hidden": [7]}}],
            },
            {"name": "other", "runs": [{"name": "a"}]},
        ],
    }
    experiment = spec.parse_spec({**raw, "folds": 3}, "table.yaml")
    planner = RunPlanner(experiment, "table.yaml", {"train.epochs": 1})
    first, second, third, _ = experiment.all_stages()
    _, quarter = planner.list_trials(first, ())
    assert (quarter.stage, quarter.name) == ("first", "learning_rate-0.25")
    assert quarter.config.name == "first.learning_rate-0.25"
    _, b = planner.list_trials(second, quarter.layers)
    (c,) = planner.list_trials(third, b.layers)
    train = c.config.train
    assert (train.learning_rate, train.batch_size, train.epochs) == (0.25, 16, 1)
    assert train.model == config.Mlp(hidden=(7,))
    assert c.layers == (
        {"train.batch_size": 16, "train.epochs": 9},
        {"train.learning_rate": 0.25},
        {"train.epochs": 5},
        NARROW,
        {},
        {"train.model.hidden": [7]},
    )
    splits = [training.splits for training in c.training_configs()]
    folds = [(split.folds, split.fold) for split in splits]
    assert (c.folds, folds) == (3, [(3, 0), (3, 1), (3, 2)])
    # The first run of each stage stands in for its best one: then `c` changes `hidden` of a
    # convnet, which has no such setting.
    with pytest.raises(ConfigError, match=r"stage third: run c: 1 mistake\n  train.model.hidden"):
        planner.plan_stages()


def test_named_values_and_keys_with_one_value() -> None:
    small, dense = plan(
        grid={
            "train.model": {
                "small": {"name": "convnet", "filters": [4]},
                "dense": NARROW["train.model"],
            },
            "train.epochs, train.batch_size": [2],
        }
    )
    assert (small.name, dense.name) == ("small_epochs-batch_size-2", "dense_epochs-batch_size-2")
    assert small.config.train.model == config.Convnet(filters=(4,))
    assert dense.config.train.model == config.Mlp(hidden=(5,))
    assert (small.config.train.epochs, small.config.train.batch_size) == (2, 2)


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
    (combination,) = combining.list_combinations({key: [value] for key, value in settings.items()})
    assert combination == (name, settings)


INVALID_RUNS = [
    (
        {"runs": [{"name": "one"}, {"name": "two"}, {"name": "one"}]},
        "table.yaml: two runs have the name one; rename one",
    ),
    (
        {"runs": [{"name": "one", "set": {"train.epoch": 3}}]},
        "table.yaml: run one: 1 mistake\n  train.epoch: unknown key; did you mean epochs? valid "
        f"here: {', '.join(config.TrainSettings.model_fields)}",
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
        "table.yaml: base: paths.images is not set; set it there or with --input URL",
    ),
    (
        {"runs": [{"name": "one", "set": {"paths.model": "m"}}]},
        "table.yaml: run one: paths.model: an experiment sets all paths except paths.images to "
        "folders below its output; remove it",
    ),
    (
        {"runs": [{"name": "one", "set": {"score.split": "train"}}]},
        'table.yaml: run one: score.split = "train": an experiment scores the splits '
        "that its `score` key lists; remove it",
    ),
    (
        {"runs": [{"name": "deep", "set": {"train.model.filters": [8] * 6}}]},
        "table.yaml: run deep: images of height 64 px are too small for train.model: convolution "
        "5 needs 3 px and gets 2; use padding same, a smaller kernel or fewer filters, or "
        "preprocess to a larger size",
    ),
    (
        {
            "stages": [
                {"name": "first", "grid": {"train.epochs": [1, 2]}},
                {"name": "second", "best_of": "first", "runs": [{"name": "one"}]},
                {
                    "name": "third",
                    "best_of": "second",
                    "set": {"train.model.filter": [8]},
                    "runs": [{"name": "one"}],
                },
            ]
        },
        "table.yaml: stage third: run one: 1 mistake\n  train.model.filter: unknown key; did you "
        f"mean filters? valid here: {', '.join(config.Convnet.model_fields)}",
    ),
    (
        {"search": {"trials": 1, "space": {"train.epoch": [3]}}},
        "table.yaml: search.space: 1 mistake\n  train.epoch: unknown key; did you mean epochs? "
        f"valid here: {', '.join(config.TrainSettings.model_fields)}",
    ),
    (
        {"search": {"trials": 1, "space": {"train.epochs": [3, "many"]}}},
        'table.yaml: search.space: 1 mistake\n  train.epochs = "many": must be a valid integer',
    ),
    (
        {"search": {"trials": 1, "space": {"train.epochs": {"low": 1.5, "high": 4.5}}}},
        "table.yaml: search.space: 1 mistake\n  train.epochs = 1.5: must be a valid integer",
    ),
    (
        {"search": {"trials": 1, "space": {"train.momentum": {"low": 0.5, "high": 1.5}}}},
        "table.yaml: search.space: 1 mistake\n  train.momentum = 1.5: must be less than 1",
    ),
    (
        {"runs": [{"name": "one", "set": {"train.ranks": 2}}], "parallel": 3},
        "table.yaml: run one: train.ranks is 2, but parallel is 3; runs with several ranks cannot "
        "run concurrently: use parallel: 1",
    ),
    (
        {"runs": [{"name": "one", "set": {"train.ranks": 2}}], "on": "spark"},
        "table.yaml: run one: train.ranks is 2, but on: spark gives each run one slot; use on: "
        "processes with parallel: 1",
    ),
    (
        {"random": {"from": {"train.epochs": [1, 2], "seed": [1, 2, 3]}, "count": 7}},
        "table.yaml: random.count = 7: is more than the 6 combinations of random.from",
    ),
]


@pytest.mark.parametrize(
    ("settings", "message"), INVALID_RUNS, ids=[message for _, message in INVALID_RUNS]
)
def test_an_invalid_run_is_reported_with_file_run_and_key(
    settings: dict[str, Any], message: str
) -> None:
    assert planning_error(**settings) == message


SPACES = st.dictionaries(
    st.sampled_from(["a", "b.c", "d"]),
    st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
    min_size=1,
)


@given(SPACES)
def test_a_grid_has_each_combination_once(space: dict[str, list[int]]) -> None:
    combinations = list(combining.list_combinations(space))
    count = 1
    for values in space.values():
        count *= len(values)
    unique_settings = {tuple(combination.settings.items()) for combination in combinations}
    assert len(combinations) == len(unique_settings) == count
    assert len({combination.name for combination in combinations}) == count


@given(SPACES, st.integers(0, 5), st.data())
def test_a_draw_is_unique_balanced_and_reproducible(
    space: dict[str, list[int]], seed: int, data: st.DataObject
) -> None:
    combinations = list(combining.list_combinations(space))
    count = data.draw(st.integers(1, len(combinations)))
    balance = data.draw(st.sampled_from(sorted(space)))
    settings = RandomSpec(**{"from": space}, count=count, seed=seed, balance=balance)
    drawn = combining.draw_combinations(settings)
    assert len(drawn) == count
    assert all(draw in combinations and drawn.count(draw) == 1 for draw in drawn)
    counts = Counter(dict.fromkeys(space[balance], 0))
    counts.update(draw.settings[balance] for draw in drawn)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert combining.draw_combinations(settings) == drawn


def test_another_seed_draws_other_combinations() -> None:
    space = {"a": [*range(10)], "b": [*range(10)]}
    first, second = (
        combining.draw_combinations(RandomSpec(**{"from": space}, count=5, seed=s)) for s in (0, 1)
    )
    assert first != second


def plan_paper(name: str) -> dict[str, list[Trial]]:
    path = str(EXPERIMENTS / f"{name}.yaml")
    return RunPlanner(spec.load_spec(path), path, {"paths.images": "in"}).plan_stages()


def network(settings: dict[str, Any]) -> object:
    return config.config_from_mapping({"train": {"model": settings}}, "test").train.model


def test_the_regularised_convnets_are_those_of_the_paper() -> None:
    trials = {trial.name: trial for trial in plan_paper("regularised-convnets")[""]}
    assert {name: trial.config.train.model for name, trial in trials.items()} == {
        f"{model} {variant}".replace(f"{model} ", f"{model.replace(' ', '-')}.").replace(
            "batch norm", "batch-norm"
        ): network({**REGULARISED[model], **VARIANTS[variant]})
        for model, variant in REGULARISED_COUNTS
    }
    shared = {
        (trial.config.train.epochs, trial.config.train.batch_size) for trial in trials.values()
    }
    assert shared == {(20, 64)}
    figures = {name: (trial.paper.loss, trial.paper.accuracy) for name, trial in trials.items()}
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
    trials = {trial.name: trial for trial in plan_paper("cifar10-ablation")[""]}
    # According to the paper's text, 5.A to 5.C change the training of 4.D.
    settings = {name: row[0] for name, row in CIFAR.items()}
    settings.update(dict.fromkeys(("5.A", "5.B", "5.C"), CIFAR["4.D"][0]))
    assert {name: trial.config.train.model for name, trial in trials.items()} == {
        name: network(model) for name, model in settings.items()
    }
    assert [trial.paper.accuracy for trial in trials.values()] == [
        *(0.3359, 0.3932, 0.4105, 0.4089, 0.6432, 0.6903, 0.5231, 0.2587, 0.1607, 0.4552),
    ]
    train_settings = {name: trial.config.train for name, trial in trials.items()}
    assert {train.epochs for train in train_settings.values()} == {300}
    assert {train.optimizer for train in train_settings.values()} == {"sgd"}
    batch_sizes = {name: train.batch_size for name, train in train_settings.items()}
    assert {name: size for name, size in batch_sizes.items() if size != 64} == {"5.A": 256}
    rates = {name: train.learning_rate for name, train in train_settings.items()}
    assert {name: rate for name, rate in rates.items() if rate != 0.001} == {"5.B": 0.1}


PETRINI = {
    f"{dense}-dense_{convolutions}-conv_pooling-{pooling}": searched(dense, pooling, convolutions)
    for dense in (8, 16, 32)
    for convolutions in (1, 2)
    for pooling in ("average", "max")
}


def test_the_random_search_is_that_of_the_paper() -> None:
    trials = plan_paper("random-search")
    drawn = trials["search"]
    assert len(drawn) == 6
    assert all(trial.config.train.model == network(PETRINI[trial.name]) for trial in drawn)
    pools = Counter(trial.config.train.model.model_dump()["pooling"] for trial in drawn)
    assert pools == {"average": 3, "max": 3}
    assert {(t.config.train.epochs, t.config.train.batch_size) for t in drawn} == {(25, 50)}
    sizes = [(trial.name, trial.config.pixels.height_px) for trial in trials["size"]]
    assert sizes == [("64-px", 64), ("32-px", 32)]
    best, paper = trials["final"]
    assert {(t.config.train.epochs, t.config.train.batch_size) for t in (best, paper)} == {(30, 35)}
    assert paper.config.train.model == network(searched(16, "max", 1))
    assert (paper.config.pixels.height_px, paper.config.splits.validation_fraction) == (32, 0.0)
    figures = paper.paper.precision, paper.paper.recall, paper.paper.f1
    assert figures == (0.999, 0.9967, 0.9978)


def test_the_bayesian_search_is_that_of_the_paper() -> None:
    trials = plan_paper("vgg13-bayes")
    (baseline,) = trials["baseline"]
    assert baseline.config.train.model == network(VGG)
    train = baseline.config.train
    assert (train.epochs, train.batch_size, train.learning_rate) == (12, 32, 0.001)
    _, paper, appendix = trials["optimised"]
    rates = {"conv_dropout": 0.1, "dense_dropout": 0.1}
    assert paper.config.train.model == network({**VGG, **rates})
    assert appendix.config.train.model == network(
        {**VGG, **rates, "pool_after": None, "pool_padding": "same"}
    )
    assert paper.config.train.learning_rate == appendix.config.train.learning_rate == 0.0001
    assert paper.paper.accuracy == 0.999


def test_the_perceptrons_and_the_cnn_are_those_of_the_paper() -> None:
    trials = plan_paper("mlp-to-cnn")
    (baseline,) = trials["baseline"]
    assert baseline.config.train.model == network({"name": "mlp", "hidden": []})
    assert (baseline.config.train.optimizer, baseline.config.train.epochs) == ("sgd", 20)
    networks = {trial.name: trial.config.train for trial in trials["networks"]}
    assert {name: train.model for name, train in networks.items()} == {
        "perceptron": network({"name": "mlp", "hidden": [200, 60]}),
        "perceptron-dropout": network({"name": "mlp", "hidden": [200, 60], "dropout": [0.0, 0.25]}),
        "cnn": network(
            {
                "name": "convnet",
                "filters": [12, 24],
                "kernels_px": [3, 6],
                "strides_px": [2],
                "pool_after": [],
                "dense": [200],
            }
        ),
    }
    assert {train.optimizer for train in networks.values()} == {"adam"}
