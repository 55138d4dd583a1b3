"""One step of training on all ranks: loss, gradients over Horovod, optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from typing import Any, Optional

import horovod.tensorflow as hvd
import numpy.typing as npt
import tensorflow as tf

from halftone.config import TrainSettings
from halftone.models import layer_weights
from halftone.training import collectives, losses, optimizers
from halftone.training.mixing import MixedNetwork
from halftone.training.weight_average import WeightAverage

_COMPRESSIONS = {"none": hvd.Compression.none, "fp16": hvd.Compression.fp16}


class _StepState:
    """Variables of a step, in a class that hides them from Keras: they are not weights."""

    def __init__(self, accumulated: list[tf.Variable]) -> None:
        self.steps_done = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.first_nonfinite = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.is_stop_requested = tf.Variable(False, trainable=False)
        self.steps_per_sec = tf.Variable(0.0, trainable=False)  # of this rank
        # Means over the ranks of: whether a rank has an alert (0 or 1), and steps per second.
        self.status = tf.Variable([0.0, 0.0], trainable=False)
        self.plateau_factor = tf.Variable(1.0, trainable=False)
        self.gradient_sums = [
            tf.Variable(tf.zeros_like(variable), trainable=False) for variable in accumulated
        ]


class _AsBuilt:
    """A network before any of its layers was frozen, in a class that hides it from Keras.

    Keras orders the weights of a layer with layers inside by whether they are trained, so the order
    changes when some are frozen. That of checkpoints and of the published network must not.
    """

    def __init__(self, network: tf.keras.Model) -> None:
        self.weights: list[tf.Variable] = list(network.weights)
        self.trainable_variables: list[tf.Variable] = list(network.trainable_variables)
        layers = layer_weights.nested_layers(network)
        self._flags = [(layer, layer.trainable) for layer in layers]

    def restore_flags(self) -> None:
        """Make the layers trainable that were; a function of the user's own may freeze some."""
        for layer, is_trainable in self._flags:  # each comes before the layers inside it
            layer.trainable = is_trainable


class DistributedModel(tf.keras.Model):
    """A model whose step uses the gradients of all ranks."""

    _as_built: Optional[_AsBuilt] = None
    _average: Optional[WeightAverage] = None

    def compile_for_training(
        self,
        settings: TrainSettings,
        num_classes: int,
        steps_per_epoch: int,
        class_weights: Optional[Sequence[float]] = None,
        frozen_layers: Sequence[tf.keras.layers.Layer] = (),
        epochs_before: int = 0,
    ) -> None:
        """Compile for `num_classes` classes and epochs of `steps_per_epoch` steps.

        The last update of an epoch may have fewer than `settings.aggregate_steps` steps. Its
        gradients are weighted as in all others, so each row has the same weight.

        To train other layers, compile again: optimizer and schedule are then new, weights and their
        moving average stay.

        Args:
            class_weights: of a row in the loss, by label id; None: 1. They do not change metrics.
                The loss of a step is divided by its rows and not by their weights, so that the
                mean over ranks is exact.
            frozen_layers: layers that are not trained. Their batch normalisation works as in
                inference.
            epochs_before: number of epochs of earlier compilations, which count as updates of the
                moving average.
        """
        self._num_classes = num_classes
        if self._as_built is None:
            self._as_built = _AsBuilt(self)
        self._as_built.restore_flags()
        for layer in frozen_layers:
            layer.trainable = False
        self._class_weights = None if class_weights is None else tf.constant(class_weights)
        self._compression = _COMPRESSIONS[settings.compression]
        self.aggregate_steps = settings.aggregate_steps
        self._steps_per_epoch = steps_per_epoch
        accumulated = self.trainable_variables if settings.aggregate_steps > 1 else []
        self._state = _StepState(accumulated)
        updates_per_epoch = -(-steps_per_epoch // self.aggregate_steps)
        self._updates_before = epochs_before * updates_per_epoch
        prefix = "Binary" if num_classes == 2 else "SparseCategorical"
        float64 = {"dtype": "float64"}  # exact sums over millions of rows
        self.compile(
            optimizers.build_optimizer(settings, updates_per_epoch, self._state.plateau_factor),
            loss=losses.build_loss(settings, num_classes),
            weighted_metrics=[
                getattr(tf.keras.metrics, f"{prefix}Crossentropy")(name="cross_entropy", **float64),
                getattr(tf.keras.metrics, f"{prefix}Accuracy")(name="accuracy", **float64),
            ],
        )
        # mixed_float16: compile() wraps the optimizer, so that small gradients do not vanish.
        self._scales_loss = isinstance(self.optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
        self.optimizer.build(self.trainable_variables)
        if self._average is None and settings.average_weights is not None:
            self._average = WeightAverage(self._as_built.weights, settings.average_weights)
        mixes_rows = settings.augment.mixes_rows
        self._mixed_network = MixedNetwork(self, settings.augment) if mixes_rows else None
        if self._mixed_network:
            self._mixer = self._mixed_network.mixer  # a layer, so that its generator is found

    @property
    def ordered_weights(self) -> list[tf.Variable]:
        """The weights in the order of the network as it was built, also while layers are frozen."""
        assert self._as_built is not None
        return self._as_built.weights

    def get_weights(self) -> list[npt.NDArray[Any]]:
        """Return the values of `ordered_weights`."""
        return [weight.numpy() for weight in self.ordered_weights]

    def set_weights(self, weights: Sequence[npt.NDArray[Any]]) -> None:
        """Set `ordered_weights`."""
        for variable, value in zip(self.ordered_weights, weights):
            variable.assign(value)
        layer_weights.finalize_layers(self)

    @property
    def num_trainable_parameters(self) -> int:
        return sum(math.prod(variable.shape) for variable in self.trainable_variables)

    @property
    def num_parameters(self) -> int:
        """The number of trainable parameters if no layer is frozen."""
        assert self._as_built is not None
        return sum(math.prod(variable.shape) for variable in self._as_built.trainable_variables)

    @property
    def optimizer_variables(self) -> list[tf.Variable]:
        """What the next updates depend on besides the weights; a checkpoint needs all of it."""
        variables = list(self.optimizer.variables)
        if self._scales_loss:
            # Keras: the scale is not among the variables, and `loss_scale` returns a copy of it.
            state = self.optimizer._loss_scale
            variables += [state.current_loss_scale, state.counter]
        return variables

    def reset_steps(self, steps_done: int) -> None:
        """Start to count steps at `steps_done`, the number of those done in this epoch."""
        self._state.steps_done.assign(steps_done)
        self._state.first_nonfinite.assign(0)
        self._state.steps_per_sec.assign(0.0)
        self._state.status.assign([0.0, 0.0])

    @property
    def average(self) -> Optional[WeightAverage]:
        """The moving average of the weights; None if none is kept."""
        return self._average

    @property
    def state_variables(self) -> list[tf.Variable]:
        """All that must be equal on all ranks when a training starts or resumes."""
        averages = self._average.variables if self._average else []
        return [*self.ordered_weights, *self.optimizer_variables, *averages]

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within this context the weights are their moving average, if one is kept."""
        if self._average is None:
            yield
            return
        weights = self.get_weights()
        self.set_weights(self._average.values())
        try:
            yield
        finally:
            self.set_weights(weights)

    def average_batch_statistics(self) -> None:
        """Give all ranks the mean of their batch statistics, and of their moving averages."""
        if collectives.num_ranks() == 1:
            return
        # Horovod: each rank has its own batch statistics; all must validate the same network.
        for variable in self.rank_statistics():
            variable.assign(collectives.all_reduce(variable, collectives.AVERAGE))

    def rank_statistics(self) -> list[tf.Variable]:
        """Return what training gives other values on each rank: statistics, and their averages.

        Those of frozen layers do not change: the mean of equal values may differ by rounding.
        """
        frozen = {id(variable) for variable in layer_weights.frozen_variables(self)}
        is_statistic = [
            not weight.trainable and weight.dtype.is_floating and id(weight) not in frozen
            for weight in self.ordered_weights
        ]
        averages = self._average.variables if self._average else []
        return [
            *compress(self.ordered_weights, is_statistic),
            *compress(averages, is_statistic),
        ]

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last update."""
        return float(self.optimizer.learning_rate)

    def set_plateau_factor(self, factor: float) -> None:
        """Multiply the learning rate of all next updates by `factor`, for decay plateau."""
        self._state.plateau_factor.assign(factor)

    def request_stop(self) -> None:
        """Tell all ranks with the next gradients that this one was asked to stop."""
        self._state.is_stop_requested.assign(True)

    def report_throughput(self, steps_per_sec: float) -> None:
        """Send the throughput of this rank to all ranks with the next gradients."""
        self._state.steps_per_sec.assign(steps_per_sec)

    @property
    def steps_per_sec(self) -> float:
        """Mean throughput of the ranks, equal on all of them; 0 until they report in this epoch."""
        return float(self._state.status[1])

    @property
    def has_alert(self) -> bool:
        """Whether a rank had a loss that was not finite, or was asked to stop.

        Equal on all ranks without an exchange of its own: it arrives with the gradients. Reading it
        at every step would stall a GPU.
        """
        return bool(self._state.status[0] > 0)

    @property
    def first_nonfinite_step(self) -> int:
        """The first step (from 1) whose loss was not finite on this rank, or 0."""
        return int(self._state.first_nonfinite.numpy())

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        pixels, labels, weights = data
        with tf.GradientTape() as tape:
            targets = labels
            if self._mixed_network:
                probabilities, mix = self._mixed_network(pixels, weights)
                targets, labels = mix.targets(labels, self._num_classes), mix.main_labels(labels)
            else:
                probabilities = self(pixels, training=True)
            loss = self.compute_loss(
                pixels, targets, probabilities, self._weights_in_loss(targets, weights)
            )
            scaled = self.optimizer.get_scaled_loss(loss) if self._scales_loss else loss
        gradients = tape.gradient(scaled, self.trainable_variables)
        self._count_step(loss)
        if self._state.gradient_sums:
            for total, gradient in zip(self._state.gradient_sums, gradients):
                total.assign_add(gradient / self.aggregate_steps)
            steps_done = self._state.steps_done
            is_last = steps_done == self._steps_per_epoch
            is_due = (steps_done % self.aggregate_steps == 0) | is_last
            tf.cond(is_due, self._apply_gradient_sums, lambda: None)
        else:
            self._apply_gradients(gradients)
        return dict(self.compute_metrics(pixels, labels, probabilities, weights))

    def score_rows(self, pixels: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Return the probabilities of rows that are not trained on, and add to the metrics."""
        probabilities = self(pixels, training=False)
        self.compute_metrics(pixels, labels, probabilities, weights)
        return probabilities

    def _weights_in_loss(self, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Return the weights (N,) of rows with labels (N, 1), or with shares (N, classes)."""
        if self._class_weights is None:
            return weights
        if targets.dtype.is_floating:
            return weights * tf.linalg.matvec(targets, self._class_weights)
        return weights * tf.gather(self._class_weights, targets[:, 0])

    def _count_step(self, loss: tf.Tensor) -> None:
        state = self._state
        steps_done = state.steps_done.assign_add(1)
        is_first_bad = (state.first_nonfinite == 0) & ~tf.math.is_finite(loss)
        state.first_nonfinite.assign(tf.where(is_first_bad, steps_done, state.first_nonfinite))

    def _apply_gradient_sums(self) -> None:
        self._apply_gradients([total.read_value() for total in self._state.gradient_sums])
        for total in self._state.gradient_sums:
            total.assign(tf.zeros_like(total))

    def _apply_gradients(self, gradients: list[tf.Tensor]) -> None:
        has_alert = tf.cast(
            (self._state.first_nonfinite > 0) | self._state.is_stop_requested, tf.float32
        )
        status = tf.stack([has_alert, self._state.steps_per_sec])
        if collectives.num_ranks() > 1:
            status = collectives.all_reduce(status, collectives.AVERAGE, "status")
            # Horovod: reduce the gradients before any check of their values. A rank that skipped a
            # step because its own gradients are not finite would leave the others waiting.
            gradients = [
                collectives.all_reduce(
                    gradient, collectives.AVERAGE, f"gradient_{number}", self._compression
                )
                for number, gradient in enumerate(gradients)
            ]
        self._state.status.assign(status)
        if self._scales_loss:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        if self._average is not None:
            self._average.update(self._updates_before + self.optimizer.iterations)
