"""An Optuna sampler based on a Gaussian process and expected improvement.

Optuna's GPSampler needs PyTorch, which is larger than all other dependencies together. The method
is that of Snoek, Larochelle, Adams: Practical Bayesian Optimization of Machine Learning Algorithms
(2012): a Matern 5/2 kernel with one length scale for each parameter. Running trials count with the
value that the process predicts for them.
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
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

UnitPoints = npt.NDArray[np.float64]  # (points, columns) or (columns,), in the unit cube
_Values = npt.NDArray[np.float64]  # (points,)
SearchSpace = dict[str, Any]  # Optuna's distributions, by parameter

_NUM_UNIFORM, _NUM_NEARBY = 2048, 512  # candidates
_NEARBY_DEVIATION = 0.1  # standard deviation around the best point, as a fraction of the range
# Values are clipped this many spreads above the median, see _clip_outliers.
_MAX_SPREADS = 3.0


class GaussianProcessSampler(BaseSampler):
    """A sampler for a single proposal: create a new one, with another seed, for the next.

    Args:
        space: Distributions by parameter.
        seed: Seed of all random numbers.
        num_startup: Number of trials that are sampled at random before the process is fitted.
    """

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
        """Return the candidate with the highest expected improvement.

        Returns an empty dict while there are fewer than `num_startup` values: Optuna then samples
        each parameter at random.
        """
        others = [
            other for other in study.get_trials(deepcopy=False) if other.number != trial.number
        ]
        # In Optuna, the value of a pruned trial is that of its last epoch.
        finished = [
            other
            for other in others
            if other.state in (TrialState.COMPLETE, TrialState.PRUNED) and other.value is not None
        ]
        if len(finished) < self._num_startup:
            return {}
        running = [other for other in others if other.state == TrialState.RUNNING and other.params]
        sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
        values = _clip_outliers(np.array([sign * float(done.value or 0.0) for done in finished]))
        points = self._encode_trials(finished)
        model = self._fit_model(points, values)
        if running:
            running_points = self._encode_trials(running)
            points = np.concatenate([points, running_points])
            values = np.concatenate([values, model.predict(running_points)])
            model = self._fit_model(points, values, model.kernel_)
        candidates = self._draw_candidates(points[np.argmin(values)])
        encoded = np.stack([self._encode(candidate) for candidate in candidates])
        return candidates[int(np.argmax(_expected_improvement(model, encoded, values.min())))]

    def _fit_model(
        self, points: UnitPoints, values: _Values, kernel: Optional[Any] = None
    ) -> GaussianProcessRegressor:
        """Fit the process; also fit the kernel's hyperparameters if no fitted kernel is passed."""
        initial_kernel = ConstantKernel(1.0, (0.01, 100.0)) * Matern(
            np.full(points.shape[1], 0.5), (0.05, 20.0), nu=2.5
        ) + WhiteKernel(1e-3, (1e-6, 0.5))
        model = GaussianProcessRegressor(
            kernel or initial_kernel,
            normalize_y=True,
            optimizer=None if kernel else "fmin_l_bfgs_b",
            n_restarts_optimizer=0 if kernel else 2,
            random_state=self._seed % 2**32,
        )
        with warnings.catch_warnings():
            # The length scale of a parameter without influence ends at its bound.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(points, values)

    def _draw_candidates(self, best: UnitPoints) -> list[dict[str, Any]]:
        nearby = best + self._rng.normal(0.0, _NEARBY_DEVIATION, (_NUM_NEARBY, len(best)))
        uniform = self._rng.uniform(size=(_NUM_UNIFORM, len(best)))
        points = np.concatenate([uniform, np.clip(nearby, 0.0, 1.0)])
        return [self._decode(point) for point in points]

    def _encode_trials(self, trials: Sequence[FrozenTrial]) -> UnitPoints:
        return np.stack([self._encode(trial.params) for trial in trials])

    def _encode(self, params: dict[str, Any]) -> UnitPoints:
        """Scale numbers to 0..1 and one-hot encode choices."""
        columns: list[float] = []
        for name, space in self._space.items():
            if isinstance(space, CategoricalDistribution):
                columns += [float(choice == params[name]) for choice in space.choices]
            else:
                low, high, value = _to_log_scale(space, space.low, space.high, params[name])
                columns.append((value - low) / (high - low) if high > low else 0.5)
        return np.array(columns)

    def _decode(self, point: UnitPoints) -> dict[str, Any]:
        """Return the parameters nearest to a point."""
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


def _from_unit_interval(space: Any, position: float) -> Any:
    low, high = _to_log_scale(space, space.low, space.high)
    value = low + position * (high - low)
    value = float(np.exp(value)) if space.log else float(value)
    if space.step is not None:
        value = space.low + round((value - space.low) / space.step) * space.step
    value = min(max(value, space.low), space.high)
    return round(value) if isinstance(space.low, int) else value


def _clip_outliers(values: _Values) -> _Values:
    """Clip values far above the median: a loss of 1e30 would hide the differences of all others.

    The spread is the larger of the distances from the best value and from the upper quartile to
    the median.
    """
    median, best = float(np.median(values)), float(values.min())
    spread = max(median - best, float(np.quantile(values, 0.75)) - median)
    return np.minimum(values, median + _MAX_SPREADS * spread)


def _expected_improvement(
    model: GaussianProcessRegressor, points: UnitPoints, best: float
) -> _Values:
    """Return the expected decrease below `best` at each point; at least 0."""
    mean, deviation = model.predict(points, return_std=True)
    deviation = np.maximum(deviation, 1e-12)
    z = (best - mean) / deviation
    improvement: _Values = deviation * (z * norm.cdf(z) + norm.pdf(z))
    return improvement
