"""What proposes a search's next run, as Optuna calls things."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from halftone.dataset import splits
from halftone.experiment import spaces
from halftone.experiment.spaces import NumberRange, Settings
from halftone.experiment.spec import SearchSpec

# A run is compared with the median of the others once so many have ended, and it so many epochs.
_PRUNE_AFTER_TRIALS, _PRUNE_AFTER_EPOCHS = 3, 1


def distributions(search: SearchSpec) -> dict[str, BaseDistribution]:
    """What to choose from, by the keys of the space."""
    return {key: _distribution(given) for key, given in search.space.items()}


def _distribution(entry: Any) -> BaseDistribution:
    asked = spaces.parse_search_values(entry)
    if not isinstance(asked, NumberRange):
        # Optuna's choices are plain values, not lists.
        return CategoricalDistribution([json.dumps(value) for value in asked])
    if asked.is_whole:
        return IntDistribution(int(asked.low), int(asked.high), asked.log, int(asked.step or 1))
    values = asked.values()
    high = values[-1] if values else asked.high
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the last step may be a hair shorter
        return FloatDistribution(float(asked.low), float(high), asked.log, asked.step)


def round_params(space: Mapping[str, BaseDistribution], params: dict[str, Any]) -> dict[str, Any]:
    """What was proposed, with no more digits than a reader wants."""

    def of(key: str, value: Any) -> Any:
        own = space[key]
        if not isinstance(own, FloatDistribution) or own.step is not None:
            return value
        return min(max(float(f"{value:.4g}"), own.low), own.high)

    return {key: of(key, value) for key, value in params.items()}


def params_to_settings(search: SearchSpec, params: dict[str, Any]) -> Settings:
    """What was proposed, by the keys of the space."""
    return {
        key: json.loads(params[key]) if isinstance(given, list) else params[key]
        for key, given in search.space.items()
    }


def settings_to_params(search: SearchSpec, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same, as Optuna has it."""
    return {
        key: json.dumps(settings[key]) if isinstance(given, list) else settings[key]
        for key, given in search.space.items()
    }


def create_sampler(search: SearchSpec, number: int, attempt: int) -> BaseSampler:
    """The sampler for one proposal.

    Each has one of its own, of a seed of its own: so a search that goes on after it was killed
    proposes what it would have proposed.
    """
    seed = splits.hash_to_uint64(f"{number}:{attempt}", search.seed, "propose") % 2**32
    space = distributions(search)
    num_startup = max(4, 2 * len(space))
    if search.sampler == "gp":
        from halftone.experiment.gaussian import GaussianProcessSampler  # scikit-learn's second

        return GaussianProcessSampler(space, seed, num_startup)
    if search.sampler == "tpe":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(
                n_startup_trials=num_startup, multivariate=True, constant_liar=True, seed=seed
            )
    return RandomSampler(seed)


def create_pruner() -> optuna.pruners.BasePruner:
    # Optuna: a step below the second number is not looked at; our first epoch is 1.
    return optuna.pruners.MedianPruner(_PRUNE_AFTER_TRIALS, _PRUNE_AFTER_EPOCHS + 1)
