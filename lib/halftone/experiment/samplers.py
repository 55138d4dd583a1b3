"""Convert a search to Optuna: distributions, parameters, samplers and the pruner."""

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

# A run is compared with the median of the others after this many finished runs and epochs.
_PRUNE_AFTER_TRIALS, _PRUNE_AFTER_EPOCHS = 3, 1


def distributions(search: SearchSpec) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions by the keys of the space."""
    return {key: _distribution(entry) for key, entry in search.space.items()}


def _distribution(entry: Any) -> BaseDistribution:
    values = spaces.parse_search_values(entry)
    if not isinstance(values, NumberRange):
        # Optuna's choices must be scalars, not lists.
        return CategoricalDistribution([json.dumps(value) for value in values])
    if values.is_whole:
        return IntDistribution(int(values.low), int(values.high), values.log, int(values.step or 1))
    steps = values.values()
    high = steps[-1] if steps else values.high
    with warnings.catch_warnings():
        # Optuna warns if the last step is slightly shorter than the others.
        warnings.simplefilter("ignore", UserWarning)
        return FloatDistribution(float(values.low), float(high), values.log, values.step)


def round_params(space: Mapping[str, BaseDistribution], params: dict[str, Any]) -> dict[str, Any]:
    """Round continuous parameters to four significant digits, within their bounds."""

    def round_param(key: str, value: Any) -> Any:
        distribution = space[key]
        if not isinstance(distribution, FloatDistribution) or distribution.step is not None:
            return value
        return min(max(float(f"{value:.4g}"), distribution.low), distribution.high)

    return {key: round_param(key, value) for key, value in params.items()}


def params_to_settings(search: SearchSpec, params: dict[str, Any]) -> Settings:
    """Convert Optuna's parameters to settings by the keys of the space."""
    return {
        key: json.loads(params[key]) if isinstance(entry, list) else params[key]
        for key, entry in search.space.items()
    }


def settings_to_params(search: SearchSpec, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Convert settings by the keys of the space to Optuna's parameters."""
    return {
        key: json.dumps(settings[key]) if isinstance(entry, list) else settings[key]
        for key, entry in search.space.items()
    }


def create_sampler(search: SearchSpec, number: int, attempt: int) -> BaseSampler:
    """Create the sampler for one proposal.

    Each proposal has its own sampler with its own seed, so that a search that resumes after it was
    killed makes the same proposals.

    Args:
        search: The search.
        number: Index of the proposal in the search.
        attempt: Index of the attempt at this proposal.
    """
    seed = splits.hash_to_uint64(f"{number}:{attempt}", search.seed, "propose") % 2**32
    space = distributions(search)
    num_startup = max(4, 2 * len(space))
    if search.sampler == "gp":
        # Imported here because importing scikit-learn takes a second.
        from halftone.experiment.gaussian import GaussianProcessSampler

        return GaussianProcessSampler(space, seed, num_startup)
    if search.sampler == "tpe":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(
                n_startup_trials=num_startup, multivariate=True, constant_liar=True, seed=seed
            )
    return RandomSampler(seed)


def create_pruner() -> optuna.pruners.BasePruner:
    # Optuna does not prune at steps below the second argument; our first epoch is 1.
    return optuna.pruners.MedianPruner(_PRUNE_AFTER_TRIALS, _PRUNE_AFTER_EPOCHS + 1)
