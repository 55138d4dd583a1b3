"""The learning rate of each update: a peak, times a warm-up, times a decay.

All of them are functions of the number of updates that are done, which is part of a checkpoint, and
`plateau` is one of the history, which is part of it too. So a training that resumes goes on with
the same learning rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union

import tensorflow as tf

from halftone.config import TrainSettings

# A factor of the learning rate, a float32 scalar, by the number of updates that are done.
Decay = Callable[[tf.Tensor], tf.Tensor]


class ScheduledRate(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises to `peak`, and is then multiplied by the factor of `decay`.

    Args:
        warmup: number of updates over which it rises linearly, from "Accurate, Large Minibatch
            SGD" (Goyal et al., 2017, section 2.2).
        decay: None: it stays at `peak`.
    """

    def __init__(self, peak: float, warmup: int, decay: Optional[Decay] = None) -> None:
        self._peak, self._warmup, self._decay = peak, warmup, decay

    def __call__(self, update: tf.Tensor) -> tf.Tensor:
        update = tf.cast(update, tf.float32)
        rate = self._peak * tf.minimum((update + 1) / max(1, self._warmup), 1.0)
        return rate if self._decay is None else rate * self._decay(update)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self._peak, "warmup": self._warmup, "decay": self._decay}


def cosine_decay(first: int, last: int) -> Decay:
    """Half a cosine from 1 at update `first` to 0 at `last`.

    From "SGDR" (Loshchilov and Hutter, 2017, section 3), without restarts.
    """

    def factor(update: tf.Tensor) -> tf.Tensor:
        progress = tf.clip_by_value((update - first) / (last - first), 0.0, 1.0)
        return (1 + tf.cos(math.pi * progress)) / 2

    return factor


def steps_decay(boundaries: Sequence[int], step_factor: float) -> Decay:
    """Multiply by `step_factor` from each of the updates `boundaries` on.

    As in "Deep Residual Learning" (He et al., 2015, section 4.2).
    """
    factors = [step_factor**number for number in range(len(boundaries) + 1)]

    def factor(update: tf.Tensor) -> tf.Tensor:
        passed = tf.reduce_sum(tf.cast(update >= tf.constant(boundaries, tf.float32), tf.int32))
        return tf.gather(tf.constant(factors, tf.float32), passed)

    return factor


def one_cycle_decay(last: int, rise_fraction: float, start: float, end: float) -> Decay:
    """A line from `start` up to 1, and another one down to `end` at update `last`.

    From "Super-Convergence" (Smith and Topin, 2018, section 3).
    """
    top = max(1, round(rise_fraction * last))

    def factor(update: tf.Tensor) -> tf.Tensor:
        rising = start + (1 - start) * update / top
        falling = 1 - (1 - end) * tf.minimum((update - top) / max(1, last - top), 1.0)
        return tf.where(update < top, rising, falling)

    return factor


def build_rate(
    settings: TrainSettings, peak: float, updates_per_epoch: int, plateau_factor: tf.Variable
) -> Union[float, ScheduledRate]:
    """Return the learning rate of a training: a number if it is constant.

    Args:
        plateau_factor: float32 scalar, for decay plateau: what `reduce_on_plateau` returned.
    """
    last = settings.epochs * updates_per_epoch
    warmup = settings.warmup_epochs * updates_per_epoch
    decays: dict[str, Callable[[], Optional[Decay]]] = {
        "none": lambda: None,
        "cosine": lambda: cosine_decay(warmup, last),
        "steps": lambda: steps_decay(
            [epoch * updates_per_epoch for epoch in settings.decay_epochs], settings.decay_factor
        ),
        "one_cycle": lambda: one_cycle_decay(
            last,
            settings.one_cycle_rise_fraction,
            settings.one_cycle_start_factor,
            settings.one_cycle_end_factor,
        ),
        "plateau": lambda: lambda _: plateau_factor.read_value(),
    }
    decay = decays[settings.decay]()
    return peak if decay is None and not warmup else ScheduledRate(peak, warmup, decay)


def reduce_on_plateau(
    ranks: Sequence[Optional[tuple[float, ...]]], settings: TrainSettings
) -> float:
    """Return the factor of the learning rate after some epochs, for decay plateau.

    It is multiplied by `decay_factor` whenever `decay_patience` epochs in a row were not better
    than the best before them. The epochs of the warm-up are not counted.

    Args:
        ranks: of the epochs that are done, see `metrics.epochs.rank_epochs`.
    """
    best: tuple[float, ...] = (math.inf,)
    waited, factor = 0, 1.0
    for epoch, rank in enumerate(ranks, 1):
        if rank is not None and rank < best:
            best, waited = rank, 0
        elif epoch > settings.warmup_epochs:
            waited += 1
        if waited == settings.decay_patience:
            factor, waited = factor * settings.decay_factor, 0
    return factor
