"""Proposals by a Gaussian process and expected improvement, for Optuna.

Optuna's own sampler of this kind works with PyTorch, which is larger than all else here together.
After Snoek, Larochelle, Adams: Practical Bayesian Optimization of Machine Learning Algorithms
(2012): a Matern 5/2 kernel with a length scale for each parameter; runs that are not done yet count
as if they had ended as the process expects.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import numpy.typing as npt
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import (
    GaussianProcessRegressor,
)
from sklearn.gaussian_process.kernels import (
    ConstantKernel,
    Matern,
    WhiteKernel,
)

UnitPoints = npt.NDArray[np.float64]  # (points, columns), in the unit cube
SearchSpace = dict[str, Any]  # Optuna's distributions, by parameter

_NUM_UNIFORM, _NUM_NEARBY = 2048, 512  # candidates
_NEARBY_DEVIATION = 0.1  # deviation of those nearby, of a parameter's whole range
# What lies further above the median than it above the best is all the same bad.
_MAX_SPREADS = 3.0


class GaussianProcessSampler(BaseSampler):
    """Expects to be made for each proposal, with a seed of its own."""

    def __init__(self, space: SearchSpace, seed: int, num_startup: int) -> None:
        self._space, self._num_startup = space, num_startup
        self._seed, self._rng = seed, np.random.default_rng(seed)
        self._random = RandomSampler(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> SearchSpace:
        return self._space

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: SearchSpace
    ) -> dict[str, Any]:
        """What promises most; nothing, and so something by chance, as long as little is known."""
        others = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number]
        # Optuna: a pruned trial has the value of its last epoch.
        known = [
            one
            for one in others
            if one.state in (TrialState.COMPLETE, TrialState.PRUNED) and one.value is not None
        ]
        if len(known) < self._num_startup:
            return {}
        running = [one for one in others if one.state == TrialState.RUNNING and one.params]
        sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
        values = _clip_outliers(np.array([sign * float(one.value or 0.0) for one in known]))
        points = self._encode_trials(known)
        model = self._fit_model(points, values)
        if running:
            expected = self._encode_trials(running)
            points = np.concatenate([points, expected])
            values = np.concatenate([values, model.predict(expected)])
            model = self._fit_model(points, values, model.kernel_)
        candidates = self._draw_candidates(points[np.argmin(values)])
        encoded = np.stack([self._encode(one) for one in candidates])
        return candidates[int(np.argmax(_expected_improvement(model, encoded, values.min())))]

    def _fit_model(
        self, points: UnitPoints, values: UnitPoints, kernel: Optional[Any] = None
    ) -> GaussianProcessRegressor:
        """Fit the kernel's numbers too, unless there is one."""
        first = ConstantKernel(1.0, (0.01, 100.0)) * Matern(
            np.full(points.shape[1], 0.5), (0.05, 20.0), nu=2.5
        ) + WhiteKernel(1e-3, (1e-6, 0.5))
        model = GaussianProcessRegressor(
            kernel or first,
            normalize_y=True,
            optimizer=None if kernel else "fmin_l_bfgs_b",
            n_restarts_optimizer=0 if kernel else 2,
            random_state=self._seed % 2**32,
        )
        with warnings.catch_warnings():
            # A parameter that makes no difference has its length scale at the bound.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(points, values)

    def _draw_candidates(self, best: UnitPoints) -> list[dict[str, Any]]:
        near = best + self._rng.normal(0.0, _NEARBY_DEVIATION, (_NUM_NEARBY, len(best)))
        anywhere = self._rng.uniform(size=(_NUM_UNIFORM, len(best)))
        return [self._decode(one) for one in np.concatenate([anywhere, np.clip(near, 0.0, 1.0)])]

    def _encode_trials(self, trials: Sequence[FrozenTrial]) -> UnitPoints:
        return np.stack([self._encode(one.params) for one in trials])

    def _encode(self, params: dict[str, Any]) -> UnitPoints:
        """A number for each number, and one for each choice there is: 1 where it is taken."""
        columns: list[float] = []
        for name, space in self._space.items():
            if isinstance(space, CategoricalDistribution):
                columns += [float(choice == params[name]) for choice in space.choices]
            else:
                low, high, value = _to_log_scale(space, space.low, space.high, params[name])
                columns.append((value - low) / (high - low) if high > low else 0.5)
        return np.array(columns)

    def _decode(self, point: UnitPoints) -> dict[str, Any]:
        """The parameters nearest to a point."""
        params, start = {}, 0
        for name, space in self._space.items():
            if isinstance(space, CategoricalDistribution):
                width = len(space.choices)
                params[name] = space.choices[int(np.argmax(point[start : start + width]))]
            else:
                width = 1
                params[name] = _from_unit_interval(space, float(point[start]))
            start += width
        return params


def _to_log_scale(space: Any, *values: float) -> Any:
    return np.log(values) if space.log else np.array(values, float)


def _from_unit_interval(space: Any, share: float) -> Any:
    low, high = _to_log_scale(space, space.low, space.high)
    value = low + share * (high - low)
    value = float(np.exp(value)) if space.log else float(value)
    if space.step is not None:
        value = space.low + round((value - space.low) / space.step) * space.step
    value = min(max(value, space.low), space.high)
    return round(value) if isinstance(space.low, int) else value


def _clip_outliers(values: UnitPoints) -> UnitPoints:
    """Values with those far above the median brought down: a loss of 1e30 would hide all others."""
    median, best = float(np.median(values)), float(values.min())
    spread = max(median - best, float(np.quantile(values, 0.75)) - median)
    return np.minimum(values, median + _MAX_SPREADS * spread)


def _expected_improvement(
    model: GaussianProcessRegressor, points: UnitPoints, best: float
) -> UnitPoints:
    """How much less than `best` is to be expected at each point; at worst 0."""
    mean, deviation = model.predict(points, return_std=True)
    deviation = np.maximum(deviation, 1e-12)
    z = (best - mean) / deviation
    expected: UnitPoints = deviation * (z * norm.cdf(z) + norm.pdf(z))
    return expected
