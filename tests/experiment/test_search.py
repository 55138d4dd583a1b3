from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Callable, Optional

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.errors import InputError
from halftone.experiment import samplers, spaces, spec
from halftone.experiment.outcomes import RunOutcome
from halftone.experiment.planning import RunPlanner, Trial
from halftone.experiment.search import SearchTrialSource

optuna.logging.set_verbosity(optuna.logging.ERROR)
RATE, DROP, SIZE = "train.learning_rate", "train.model.dense_dropout", "train.batch_size"
SPACE = {
    RATE: {"low": 1e-4, "high": 1.0, "log": True},
    f"train.model.conv_dropout, {DROP}": {"low": 0.0, "high": 0.5},
    SIZE: [16, 32],
}


def asked(**changes: Any) -> spec.ExperimentSpec:
    search = {"sampler": "gp", "trials": 9, "seed": 3, "space": SPACE, **changes}
    raw = {
        "name": "study",
        "base": {"paths": {"images": "in"}, "train": {"epochs": 4}},
        "search": search,
    }
    return spec.parse_spec(raw, "table.yaml")


def search(output: Path, **changes: Any) -> SearchTrialSource:
    whole = asked(**changes)
    (stage,) = whole.all_stages()
    return SearchTrialSource(RunPlanner(whole, "table.yaml"), stage, (), str(output))


def worth(one: Trial) -> float:
    """A loss that is lowest at a rate of 0.01 and a dropout of 0.1, in batches of 32."""
    rate, drop, size = one.proposal.values()
    return float((math.log10(rate) + 2) ** 2 + 8 * (drop - 0.1) ** 2 + (size == 16))


def ended(output: Path, one: Trial, losses: list[float], state: str = "finished") -> RunOutcome:
    """Leave what a training of such losses leaves."""
    folder = output / "runs" / one.name
    learn(folder, losses)
    result = {"state": state, "validation": {"loss": min(losses)}}
    return RunOutcome(one, result, "", "log", str(folder))


def learn(folder: Path, losses: list[float]) -> list[dict[str, Any]]:
    (folder / "model").mkdir(parents=True, exist_ok=True)
    epochs = [{"epoch": n, "val_loss": loss} for n, loss in enumerate(losses, 1)]
    (folder / "model" / "history.json").write_text(json.dumps({"epochs": epochs}))
    return epochs


def go_on(one: SearchTrialSource, output: Path, until: int) -> list[dict[str, Any]]:
    """Let runs end one after the other; return what was proposed."""
    proposed: list[dict[str, Any]] = []
    while len(proposed) < until and (trial := one.next_trial()):
        proposed.append(dict(trial.proposal))
        one.record_outcome(ended(output, trial, [worth(trial)]))
    return proposed


@pytest.mark.parametrize("sampler", ["gp", "tpe", "random"])
def test_a_search_that_goes_on_proposes_what_it_would_have_proposed(
    tmp_path: Path, sampler: str
) -> None:
    whole = go_on(search(tmp_path / "whole", sampler=sampler), tmp_path / "whole", 99)
    out = tmp_path / "killed"
    killed = search(out, sampler=sampler)
    go_on(killed, out, 6)
    unfinished = killed.next_trial()
    assert unfinished is not None
    more = search(out, sampler=sampler)
    assert [one.name for one in more.known_trials] == [f"trial-00{n}" for n in range(1, 8)]
    assert more.known_trials[6] == unfinished
    assert go_on(more, out, 99) == whole
    assert len(whole) == 9


def test_a_proposal_s_settings_are_those_of_the_run(tmp_path: Path) -> None:
    one = search(tmp_path).next_trial()
    assert one is not None
    rate, drop, size = one.proposal.values()
    train = one.config.train
    assert (train.learning_rate, train.batch_size, train.epochs) == (rate, size, 4)
    network = train.model.model_dump()
    assert (network["conv_dropout"], network["dense_dropout"]) == (drop, (drop,))
    assert one.layers == ({}, spaces.split_keys(dict(one.proposal)))


def test_more_trials_may_be_asked_for_and_nothing_else(tmp_path: Path) -> None:
    go_on(search(tmp_path, trials=2), tmp_path, 2)
    assert len(search(tmp_path, trials=5).known_trials) == 2
    with pytest.raises(InputError) as caught:
        search(tmp_path, seed=4)
    assert str(caught.value) == (
        f"{tmp_path}/runs/trial-001: a search with other settings is there, and is left alone: "
        f"search.seed 3 there, 4 now. Give another --output, or remove {tmp_path}/runs"
    )


def test_a_failed_run_counts_for_nothing_and_stops_no_other(tmp_path: Path) -> None:
    one = search(tmp_path, trials=3)
    first = one.next_trial()
    assert first is not None
    one.record_outcome(RunOutcome(first, None, "was killed by signal 9", "log", str(tmp_path)))
    assert len(go_on(one, tmp_path, 99)) == 2


def test_a_grid_is_searched_in_order_each_once(tmp_path: Path) -> None:
    space = {SIZE: [16, 32], "train.epochs": {"low": 1, "high": 5, "step": 2}}
    one = search(tmp_path, sampler="grid", trials=6, space=space)
    found = []
    while trial := one.next_trial():
        found.append(tuple(trial.proposal.values()))
        one.record_outcome(RunOutcome(trial, None, "no", "log", str(tmp_path)))
    assert found == [(16, 1), (16, 3), (16, 5), (32, 1), (32, 3), (32, 5)]


@pytest.mark.parametrize("sampler", ["gp", "tpe", "random"])
def test_nothing_is_proposed_twice_as_long_as_there_is_something_else(
    tmp_path: Path, sampler: str
) -> None:
    space = {SIZE: [8, 16, 32, 64, 128]}
    one = search(tmp_path, sampler=sampler, trials=5, space=space)
    sizes = []
    while trial := one.next_trial():
        sizes.append(trial.proposal[SIZE])
        one.record_outcome(ended(tmp_path, trial, [trial.proposal[SIZE] / 128]))
    assert sorted(sizes) == [8, 16, 32, 64, 128]


def test_a_run_worse_than_the_median_is_pruned_after_its_first_epoch(tmp_path: Path) -> None:
    one = search(tmp_path, prune=True)

    def begin() -> tuple[Trial, Callable[[list[float]], bool]]:
        trial = one.next_trial()
        assert trial is not None
        judge = one.get_early_stop(trial)
        assert judge is not None
        return trial, lambda losses: judge(learn(tmp_path / "runs" / trial.name, losses))

    for losses in ([0.5, 0.4, 0.3, 0.2], [0.6, 0.5, 0.4, 0.3], [0.7, 0.6, 0.5, 0.4]):
        trial, is_hopeless = begin()
        assert not is_hopeless([9.0, 9.0])  # there is nothing to compare it with
        one.record_outcome(ended(tmp_path, trial, [9.0, 9.0, *losses[2:]]))
    trial, is_hopeless = begin()
    assert not is_hopeless([])
    assert not is_hopeless([99.0])  # the first epoch is left to chance
    assert not is_hopeless([99.0, 8.0])
    assert is_hopeless([99.0, 8.0, 0.45])
    one.record_outcome(ended(tmp_path, trial, [99.0, 8.0, 0.45], "pruned"))
    trial, is_hopeless = begin()
    assert not is_hopeless([99.0, 8.0, 0.35])
    assert not is_hopeless([99.0, 8.0, 0.35, 0.9])  # it is done
    one.record_outcome(ended(tmp_path, trial, [99.0, 8.0, 0.35, 0.9]))


def test_epochs_that_are_seen_late_are_judged_all_the_same(tmp_path: Path) -> None:
    one = search(tmp_path, prune=True)
    for _ in range(3):
        trial = one.next_trial()
        assert trial is not None
        one.record_outcome(ended(tmp_path, trial, [0.3, 0.2]))
    trial = one.next_trial()
    assert trial is not None
    judge = one.get_early_stop(trial)
    assert judge is not None
    # Of a third epoch nothing is known of the others.
    assert judge(learn(tmp_path / "late", [0.9, 0.9, 0.9]))


def found_after(sampler: str, seed: int, enough: float, most: int) -> int:
    """How many trials it takes to come so near to the lowest value of a known function."""
    settings_ = asked(sampler=sampler, seed=seed, trials=most).search
    assert settings_ is not None
    study = optuna.create_study()
    for number in range(most):
        study.sampler = samplers.create_sampler(settings_, number, 0)
        trial = study.ask(samplers.distributions(settings_))
        rate, drop, size = samplers.params_to_settings(settings_, trial.params).values()
        value = (math.log10(rate) + 2) ** 2 + 8 * (drop - 0.1) ** 2 + (size == 16)
        if value < enough:
            return number + 1
        study.tell(trial, value)
    return most


def test_a_gaussian_process_finds_a_minimum_in_fewer_trials_than_chance() -> None:
    by_chance = [found_after("random", seed, 0.05, 60) for seed in range(3)]
    by_process = [found_after("gp", seed, 0.05, 60) for seed in range(3)]
    assert max(by_process) <= 20
    assert sum(by_process) < sum(by_chance) / 2


NUMBERS = st.one_of(
    st.tuples(st.integers(1, 5), st.integers(6, 40)).map(
        lambda ends: {"low": ends[0], "high": ends[1]}
    ),
    st.tuples(st.floats(1e-6, 0.1), st.floats(0.2, 10), st.booleans()).map(
        lambda given: {"low": given[0], "high": given[1], "log": given[2]}
    ),
    st.integers(2, 9).map(lambda number: {"low": 0.0, "high": 1.0, "step": 1 / number}),
)
CHOICES = st.lists(st.one_of(st.integers(), st.lists(st.integers())), min_size=1, unique_by=str)


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abc"), st.one_of(NUMBERS, CHOICES), min_size=1),
    st.sampled_from(["gp", "tpe", "random"]),
    st.data(),
)
def test_what_is_proposed_lies_within_the_space(
    space: dict[str, Any], sampler: str, data: st.DataObject
) -> None:
    wanted = spec.SearchSpec(sampler=sampler, trials=1, space=space)
    assert spaces.find_mistakes("space", space, is_search=True) == []
    study = optuna.create_study()
    values = st.one_of(st.none(), st.floats(-1e30, 1e30))
    for number in range(9):
        study.sampler = samplers.create_sampler(wanted, number, 0)
        trial = study.ask(samplers.distributions(wanted))
        whole = samplers.params_to_settings(wanted, trial.params)
        proposed = samplers.round_params(samplers.distributions(wanted), trial.params)
        for key, value in samplers.params_to_settings(wanted, proposed).items():
            check_inside(space[key], value)
            assert value == pytest.approx(whole[key], rel=1e-3)
        value_: Optional[float] = data.draw(values) if number < 8 else 0.0
        state = optuna.trial.TrialState.FAIL if value_ is None else None
        study.tell(trial, value_, state)


def check_inside(given_: Any, value: Any) -> None:
    if isinstance(given_, list):
        assert value in given_
        return
    assert given_["low"] <= value <= given_["high"]
    assert type(value) is type(given_["low"])
    if "step" in given_:
        assert value / given_["step"] == pytest.approx(round(value / given_["step"]))
