from __future__ import annotations

import json
import math
from collections.abc import Sequence
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


def experiment_spec(**changes: Any) -> spec.ExperimentSpec:
    search = {"sampler": "gp", "trials": 9, "seed": 3, "space": SPACE, **changes}
    raw = {
        "name": "study",
        "base": {"paths": {"images": "in"}, "train": {"epochs": 4}},
        "search": search,
    }
    return spec.parse_spec(raw, "table.yaml")


def create_source(output: Path, **changes: Any) -> SearchTrialSource:
    experiment = experiment_spec(**changes)
    (stage,) = experiment.all_stages()
    return SearchTrialSource(RunPlanner(experiment, "table.yaml"), stage, (), str(output))


def toy_loss(rate: float, dropout: float, batch_size: int) -> float:
    """A loss with its minimum at a rate of 0.01, a dropout of 0.1 and a batch size of 32."""
    return float((math.log10(rate) + 2) ** 2 + 8 * (dropout - 0.1) ** 2 + (batch_size == 16))


def finish_trial(
    output: Path, trial: Trial, losses: list[float], state: str = "finished"
) -> RunOutcome:
    """Write the history of a training with these losses and return its outcome."""
    folder = output / "runs" / trial.name
    write_history(folder, losses)
    result = {"state": state, "validation": {"loss": min(losses)}}
    return RunOutcome(trial, result, "", "log", str(folder))


def write_history(folder: Path, losses: Sequence[Optional[float]]) -> list[dict[str, Any]]:
    (folder / "model").mkdir(parents=True, exist_ok=True)
    epochs = [{"epoch": n, "val_loss": loss} for n, loss in enumerate(losses, 1)]
    (folder / "model" / "history.json").write_text(json.dumps({"epochs": epochs}))
    return epochs


def run_search(source: SearchTrialSource, output: Path, max_trials: int) -> list[dict[str, Any]]:
    """Finish trials one after the other; return their proposals."""
    proposals: list[dict[str, Any]] = []
    while len(proposals) < max_trials and (trial := source.next_trial()):
        proposals.append(dict(trial.proposal))
        loss = toy_loss(*trial.proposal.values())
        source.record_outcome(finish_trial(output, trial, [loss]))
    return proposals


@pytest.mark.parametrize("sampler", ["gp", "tpe", "random"])
def test_a_resumed_search_makes_the_same_proposals(tmp_path: Path, sampler: str) -> None:
    complete = create_source(tmp_path / "complete", sampler=sampler)
    proposals = run_search(complete, tmp_path / "complete", 99)
    out = tmp_path / "killed"
    killed = create_source(out, sampler=sampler)
    run_search(killed, out, 6)
    unfinished = killed.next_trial()
    assert unfinished is not None
    resumed = create_source(out, sampler=sampler)
    assert [trial.name for trial in resumed.known_trials] == [f"trial-00{n}" for n in range(1, 8)]
    assert resumed.known_trials[6] == unfinished
    assert run_search(resumed, out, 99) == proposals
    assert len(proposals) == 9


def test_the_settings_of_a_proposal_are_those_of_the_run(tmp_path: Path) -> None:
    trial = create_source(tmp_path).next_trial()
    assert trial is not None
    rate, drop, size = trial.proposal.values()
    train = trial.config.train
    assert (train.learning_rate, train.batch_size, train.epochs) == (rate, size, 4)
    network = train.model.model_dump()
    assert (network["conv_dropout"], network["dense_dropout"]) == (drop, (drop,))
    assert trial.layers == ({}, spaces.split_keys(dict(trial.proposal)))


def test_only_the_number_of_trials_may_change_between_two_calls(tmp_path: Path) -> None:
    run_search(create_source(tmp_path, trials=2), tmp_path, 2)
    assert len(create_source(tmp_path, trials=5).known_trials) == 2
    with pytest.raises(InputError) as caught:
        create_source(tmp_path, seed=4)
    assert str(caught.value) == (
        f"{tmp_path}/runs/trial-001: belongs to a search with other settings and is not "
        "overwritten: search.seed was 3, is now 4. Use another --output, or remove "
        f"{tmp_path}/runs"
    )


def test_a_failed_run_is_ignored_and_stops_no_other(tmp_path: Path) -> None:
    source = create_source(tmp_path, trials=3)
    first = source.next_trial()
    assert first is not None
    source.record_outcome(RunOutcome(first, None, "was killed by signal 9", "log", str(tmp_path)))
    assert len(run_search(source, tmp_path, 99)) == 2


def test_a_grid_is_searched_in_order_without_repetition(tmp_path: Path) -> None:
    space = {SIZE: [16, 32], "train.epochs": {"low": 1, "high": 5, "step": 2}}
    source = create_source(tmp_path, sampler="grid", trials=6, space=space)
    proposals = []
    while trial := source.next_trial():
        proposals.append(tuple(trial.proposal.values()))
        source.record_outcome(RunOutcome(trial, None, "no", "log", str(tmp_path)))
    assert proposals == [(16, 1), (16, 3), (16, 5), (32, 1), (32, 3), (32, 5)]


@pytest.mark.parametrize("sampler", ["gp", "tpe", "random"])
def test_no_proposal_is_repeated_while_others_remain(tmp_path: Path, sampler: str) -> None:
    space = {SIZE: [8, 16, 32, 64, 128]}
    source = create_source(tmp_path, sampler=sampler, trials=5, space=space)
    sizes = []
    while trial := source.next_trial():
        sizes.append(trial.proposal[SIZE])
        source.record_outcome(finish_trial(tmp_path, trial, [trial.proposal[SIZE] / 128]))
    assert sorted(sizes) == [8, 16, 32, 64, 128]


def test_a_run_worse_than_the_median_is_pruned_after_its_first_epoch(tmp_path: Path) -> None:
    source = create_source(tmp_path, prune=True)

    def start_trial() -> tuple[Trial, Callable[[list[float]], bool]]:
        trial = source.next_trial()
        assert trial is not None
        early_stop = source.get_early_stop(trial)
        assert early_stop is not None
        folder = tmp_path / "runs" / trial.name
        return trial, lambda losses: early_stop(write_history(folder, losses))

    for losses in ([0.5, 0.4, 0.3, 0.2], [0.6, 0.5, 0.4, 0.3], [0.7, 0.6, 0.5, 0.4]):
        trial, is_hopeless = start_trial()
        assert not is_hopeless([9.0, 9.0])  # there are too few runs to compare it with
        source.record_outcome(finish_trial(tmp_path, trial, [9.0, 9.0, *losses[2:]]))
    trial, is_hopeless = start_trial()
    assert not is_hopeless([])
    assert not is_hopeless([99.0])  # the first epoch is never pruned
    assert not is_hopeless([99.0, 8.0])
    assert is_hopeless([99.0, 8.0, 0.45])
    source.record_outcome(finish_trial(tmp_path, trial, [99.0, 8.0, 0.45], "pruned"))
    trial, is_hopeless = start_trial()
    assert not is_hopeless([99.0, 8.0, 0.35])
    assert not is_hopeless([99.0, 8.0, 0.35, 0.9])  # all epochs are finished
    source.record_outcome(finish_trial(tmp_path, trial, [99.0, 8.0, 0.35, 0.9]))


def test_epochs_that_are_read_together_are_judged_one_by_one(tmp_path: Path) -> None:
    source = create_source(tmp_path, prune=True)
    for _ in range(3):
        trial = source.next_trial()
        assert trial is not None
        source.record_outcome(finish_trial(tmp_path, trial, [0.3, 0.2]))
    trial = source.next_trial()
    assert trial is not None
    early_stop = source.get_early_stop(trial)
    assert early_stop is not None
    # No other run has a third epoch: only the second one can be compared.
    assert early_stop(write_history(tmp_path / "late", [0.9, 0.9, 0.9]))


def test_a_loss_that_is_not_finite_does_not_prune(tmp_path: Path) -> None:
    source = create_source(tmp_path, prune=True)
    for _ in range(3):
        trial = source.next_trial()
        assert trial is not None
        source.record_outcome(finish_trial(tmp_path, trial, [0.3, 0.2, 0.2]))
    trial = source.next_trial()
    assert trial is not None
    early_stop = source.get_early_stop(trial)
    assert early_stop is not None
    # After an overflow in half precision the next epoch may be right.
    assert not early_stop(write_history(tmp_path / "late", [0.9, None]))
    assert early_stop(write_history(tmp_path / "late", [0.9, None, 0.9]))


def trials_until(sampler: str, seed: int, target: float, max_trials: int) -> int:
    """Return how many trials a sampler needs to reach a loss below `target`."""
    search = experiment_spec(sampler=sampler, seed=seed, trials=max_trials).search
    assert search is not None
    study = optuna.create_study()
    for number in range(max_trials):
        study.sampler = samplers.create_sampler(search, number, 0)
        trial = study.ask(samplers.distributions(search))
        loss = toy_loss(*samplers.params_to_settings(search, trial.params).values())
        if loss < target:
            return number + 1
        study.tell(trial, loss)
    return max_trials


def test_a_gaussian_process_needs_fewer_trials_than_random_sampling() -> None:
    random_trials = [trials_until("random", seed, 0.05, 60) for seed in range(3)]
    gp_trials = [trials_until("gp", seed, 0.05, 60) for seed in range(3)]
    assert max(gp_trials) <= 20
    assert sum(gp_trials) < sum(random_trials) / 2


NUMBERS = st.one_of(
    st.tuples(st.integers(1, 5), st.integers(6, 40)).map(
        lambda ends: {"low": ends[0], "high": ends[1]}
    ),
    st.tuples(st.floats(1e-6, 0.1), st.floats(0.2, 10), st.booleans()).map(
        lambda draw: {"low": draw[0], "high": draw[1], "log": draw[2]}
    ),
    st.integers(2, 9).map(lambda number: {"low": 0.0, "high": 1.0, "step": 1 / number}),
)
CHOICES = st.lists(st.one_of(st.integers(), st.lists(st.integers())), min_size=1, unique_by=str)


@settings(max_examples=20)
@given(
    st.dictionaries(st.sampled_from("abc"), st.one_of(NUMBERS, CHOICES), min_size=1),
    st.sampled_from(["gp", "tpe", "random"]),
    st.data(),
)
def test_proposals_lie_within_the_space(
    space: dict[str, Any], sampler: str, data: st.DataObject
) -> None:
    search = spec.SearchSpec(sampler=sampler, trials=1, space=space)
    assert spaces.find_mistakes("space", space, is_search=True) == []
    study = optuna.create_study()
    values = st.one_of(st.none(), st.floats(-1e30, 1e30))
    for number in range(9):
        study.sampler = samplers.create_sampler(search, number, 0)
        trial = study.ask(samplers.distributions(search))
        unrounded = samplers.params_to_settings(search, trial.params)
        params = samplers.round_params(samplers.distributions(search), trial.params)
        for key, value in samplers.params_to_settings(search, params).items():
            check_inside(space[key], value)
            assert value == pytest.approx(unrounded[key], rel=1e-3)
        loss: Optional[float] = data.draw(values) if number < 8 else 0.0
        state = optuna.trial.TrialState.FAIL if loss is None else None
        study.tell(trial, loss, state)


def check_inside(entry: Any, value: Any) -> None:
    if isinstance(entry, list):
        assert value in entry
        return
    assert entry["low"] <= value <= entry["high"]
    assert type(value) is type(entry["low"])
    if "step" in entry:
        assert value / entry["step"] == pytest.approx(round(value / entry["step"]))
