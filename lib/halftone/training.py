"""Fit one rank: feed, Keras model, Horovod, checkpoints. Every rank runs this same code.

An epoch is a call of `fit` with a feed of its own. All that is random in it is a function of
(seed, epoch, rank), so a run that goes on from a checkpoint does what it would have done.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf
from horovod.tensorflow.keras import DistributedOptimizer

import halftone
from halftone import checkpoint, feed, model_directory, models, planner, storage
from halftone.checkpoint import Checkpoint
from halftone.config import Config
from halftone.errors import RunError
from halftone.feed import Batch
from halftone.manifest import Manifest
from halftone.model_directory import CHECKPOINTS, HISTORY, Card
from halftone.planner import Plan
from halftone.progress import Steps, clock
from halftone.schema import SCHEMA_VERSION
from halftone.splits import TRAIN, VALIDATION
from halftone.world import World

History = list[dict[str, Any]]


def fit(config: Config, manifest: Manifest, dataset: str, output: str, world: World) -> None:
    """Train on `dataset` and leave the model directory at `output`.

    Goes on after the last epoch that has a checkpoint there.

    Raises:
        RunError: the loss is not finite, or the dataset's files do not hold what they should.
    """
    started = time.monotonic()
    run = _Run(config, manifest, dataset, output, world)
    while not run.is_done():
        run.epoch()
    if world.is_first:
        run.publish(time.monotonic() - started)


def best_epoch(history: History) -> int:
    """The epoch of the lowest validation loss, or training loss where none was held out."""
    key = "val_loss" if "val_loss" in history[0] else "loss"
    return int(min(history, key=lambda entry: float(entry[key]))["epoch"])


class _Run:
    """A training on one rank; what it has done is in its history."""

    def __init__(
        self, config: Config, manifest: Manifest, dataset: str, output: str, world: World
    ) -> None:
        self._config, self._settings = config, config.train
        self._manifest, self._dataset = manifest, dataset
        self._output, self._checkpoints = output, storage.join(output, CHECKPOINTS)
        self._origin = model_directory.origin(config, manifest)
        self._world = world
        self._rows = {
            split: sum(shard.rows for shard in manifest.shards(split))
            for split in (TRAIN, VALIDATION)
        }
        _prepare_process(world, config.seed)
        self._model = self._network()
        self._optimizer = self._compile()
        self._history = self._resume()

    def is_done(self) -> bool:
        done, patience = len(self._history), self._settings.patience
        if done >= self._settings.epochs:
            return True
        return bool(done and patience and done - best_epoch(self._history) >= patience)

    def epoch(self) -> None:
        """Train for one epoch, validate, and write a checkpoint."""
        started = time.monotonic()
        number = len(self._history) + 1
        seed = self._config.seed
        plan = planner.plan_epoch(
            self._manifest.shards(TRAIN),
            self._world.size,
            self._settings.batch_size,
            seed,
            number,
        )
        _reset_random(self._model, f"{seed}:{number}:{self._world.rank}")
        entry: dict[str, Any] = {"epoch": number, **self._train(plan, number)}
        secs = time.monotonic() - started
        self._check_finite(entry)
        if self._rows[VALIDATION]:
            entry.update({f"val_{name}": value for name, value in self._validate().items()})
        entry.update(secs=round(secs, 3), images_per_sec=round(self._rows[TRAIN] / secs, 1))
        self._history.append(entry)
        if self._world.is_first:
            self._save()
            left_secs = (self._settings.epochs - number) * (time.monotonic() - started)
            print(_line(entry, self._settings.epochs, left_secs), flush=True)

    def _train(self, plan: Plan, number: int) -> dict[str, float]:
        what = f"epoch {number}/{self._settings.epochs}"
        steps = Steps(what, plan.steps, self._settings.batch_size, self._world.is_first)
        callback = tf.keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_: steps.one())
        callback._supports_tf_logs = True  # else Keras waits for the metrics at every step
        rows = self._feed(plan, shuffle_seed=f"{self._config.seed}:{number}:{self._world.rank}")
        self._model.fit(rows, steps_per_epoch=plan.steps, verbose=0, callbacks=[callback])
        return self._metrics(TRAIN)

    def _validate(self) -> dict[str, float]:
        """Score each row of the validation split once, on one rank or another."""
        # Horovod: batch statistics are each rank's own; all ranks must judge the same network.
        for variable in self._model.non_trainable_variables:
            if variable.dtype.is_floating:
                variable.assign(hvd.allreduce(variable, op=hvd.Average))
        plan = planner.plan_once(
            self._manifest.shards(VALIDATION), self._world.size, self._settings.batch_size
        )
        self._model.evaluate(self._feed(plan), steps=plan.steps, verbose=0)
        return self._metrics(VALIDATION)

    def _metrics(self, split: str) -> dict[str, float]:
        """Metrics over all ranks: sums and counts are added up, not means averaged."""
        metrics = [metric for metric in self._model.metrics if metric.name != "loss"]
        own = [[metric.total.numpy(), metric.count.numpy()] for metric in metrics]
        # Horovod: a mean of the ranks' means would be wrong, as ranks have unequal rows.
        sums = hvd.allreduce(tf.constant(own, tf.float64), op=hvd.Sum).numpy()
        if any(round(count) != self._rows[split] for _, count in sums):
            raise RunError(
                f"{split}: {sums[0][1]:.0f} rows were used in an epoch, the manifest of "
                f"{self._dataset} has {self._rows[split]}; preprocess again"
            )
        names = {"cross_entropy": "loss"}
        return {
            names.get(metric.name, metric.name): float(total / count)
            for metric, (total, count) in zip(metrics, sums)
        }

    def _feed(self, plan: Plan, shuffle_seed: str = "") -> tf.data.Dataset:
        shape = self._manifest.shape()
        signature = (
            tf.TensorSpec((plan.rank_batch, *shape), tf.uint8),
            tf.TensorSpec((plan.rank_batch, 1), tf.int32),
            tf.TensorSpec((plan.rank_batch,), tf.float32),
        )

        def rows() -> Iterator[Batch]:
            for images, labels, weights in feed.batches(
                self._dataset, shape, plan, self._world, shuffle_seed
            ):
                yield images, labels[:, np.newaxis], weights

        return tf.data.Dataset.from_generator(rows, output_signature=signature).prefetch(4)

    def _network(self) -> tf.keras.Model:
        return models.build(
            self._settings.model.model_dump(),
            self._manifest.shape(),
            len(self._manifest.labels),
            self._settings.normalise,
        )

    def _compile(self) -> tf.keras.optimizers.Optimizer:
        if self._settings.optimizer == "adam":
            optimizer = tf.keras.optimizers.Adam(self._settings.learning_rate)
        else:
            optimizer = tf.keras.optimizers.SGD(
                self._settings.learning_rate, momentum=self._settings.momentum
            )
        optimizer = DistributedOptimizer(optimizer)  # Horovod: gradients of all ranks
        binary = len(self._manifest.labels) == 2
        kind = "Binary" if binary else "SparseCategorical"
        exact = {"dtype": "float64"}  # sums over millions of rows
        self._model.compile(
            optimizer,
            loss=getattr(tf.keras.losses, f"{kind}Crossentropy")(),
            weighted_metrics=[
                getattr(tf.keras.metrics, f"{kind}Crossentropy")(name="cross_entropy", **exact),
                getattr(tf.keras.metrics, f"{kind}Accuracy")(name="accuracy", **exact),
            ],
        )
        optimizer.build(self._model.trainable_variables)
        return optimizer

    def _resume(self) -> History:
        """Take up the last checkpoint, and give all ranks the same start; return its history."""
        history: History = []
        found = checkpoint.last(self._checkpoints) if self._world.is_first else None
        if found is not None:
            model_directory.check_origin(self._output, found.origin, self._origin)
            self._model.set_weights(found.weights)
            for variable, value in zip(self._optimizer.variables, found.optimizer):
                variable.assign(value)
            history = found.history
            print(f"going on after epoch {found.epoch}, from {self._checkpoints}", flush=True)
        # Horovod: rank 0 may be the only one that can read the folder.
        hvd.broadcast_variables(self._model.variables + list(self._optimizer.variables), 0)
        return list(hvd.broadcast_object(history, 0))

    def _check_finite(self, entry: dict[str, Any]) -> None:
        if not math.isfinite(entry["loss"]):
            kept = f"epoch {len(self._history)}'s checkpoint stands" if self._history else "none"
            raise RunError(
                f"epoch {entry['epoch']}: the training loss is {entry['loss']}; {kept}. Lower "
                f"train.learning_rate (it is {self._settings.learning_rate:g})"
            )

    def _save(self) -> None:
        values = [variable.numpy() for variable in self._optimizer.variables]
        checkpoint.write(
            self._checkpoints,
            Checkpoint(self._model.get_weights(), values, self._history, self._origin),
        )
        best = best_epoch(self._history)
        checkpoint.keep(self._checkpoints, self._settings.keep_checkpoints, best)
        self._write_history()

    def _write_history(self) -> None:
        storage.write_json(
            storage.join(self._output, HISTORY),
            {"best_epoch": best_epoch(self._history), "epochs": self._history},
        )

    def publish(self, secs: float) -> None:
        """Write the model directory from the best epoch's checkpoint, its card last."""
        best = checkpoint.read(self._checkpoints, best_epoch(self._history))
        version = _digest(best.weights)
        network = self._network()
        network.set_weights(best.weights)
        self._write_history()
        model_directory.publish(
            self._output,
            Card(
                schema_version=SCHEMA_VERSION,
                halftone_version=halftone.__version__,
                created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                version=version,
                network=f"network-{version}.keras",
                labels=self._manifest.labels,
                pixels=self._manifest.pixels,
                fingerprint=self._manifest.fingerprint,
                best_epoch=best.epoch,
                ranks=self._world.size,
                train_secs=round(secs, 3),
                origin=self._origin,
                config=self._config,
            ),
            _as_file(network),
        )


def _prepare_process(world: World, seed: int) -> None:
    """Give this rank its GPU or its share of the cores, and make its work repeatable."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        # Horovod: Spark may show a task one GPU only, which is then its first.
        own = gpus[world.local_rank] if len(gpus) >= world.local_size else gpus[0]
        tf.config.set_visible_devices(own, "GPU")
        tf.config.experimental.set_memory_growth(own, True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    tf.config.threading.set_intra_op_parallelism_threads(max(1, (cores or 1) // world.local_size))
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    # Layers then draw from generators that can be set back at each epoch.
    tf.keras.backend.experimental.enable_tf_random_generator()


def _reset_random(model: tf.keras.Model, text: str) -> None:
    for number, layer in enumerate(model.layers):
        generator = getattr(layer, "_random_generator", None)
        if generator is not None and generator._generator is not None:
            digest = hashlib.blake2b(f"{text}:{number}".encode(), digest_size=8).digest()
            generator._generator.reset_from_seed(int.from_bytes(digest, "big") >> 1)


def _as_file(network: tf.keras.Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:  # Keras writes to local paths only
        path = os.path.join(folder, "network.keras")
        network.save(path)
        with open(path, "rb") as file:
            return file.read()


def _line(entry: dict[str, Any], epochs: int, left_secs: float) -> str:
    metrics = ("loss", "accuracy", "val_loss", "val_accuracy")
    values = ", ".join(f"{name} {entry[name]:.4f}" for name in metrics if name in entry)
    left = f", {clock(left_secs)} left" if entry["epoch"] < epochs else ""
    return (
        f"epoch {entry['epoch']}/{epochs}: {values}, {entry['images_per_sec']:,.0f} images/s, "
        f"{clock(entry['secs'])}{left}"
    )


def _digest(weights: list[Any]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for array in weights:
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
