"""Fit one rank: feed, Keras model, Horovod, checkpoints. Every rank runs this same code.

An epoch is a call of Keras' `fit` with a feed of its own. All that is random in it is a function
of (seed, epoch, rank), so a run that goes on from a checkpoint does what it would have done.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Optional

import horovod.tensorflow as hvd
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from halftone import model_directory, storage
from halftone.config import Config
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import TRAIN, VALIDATION
from halftone.errors import RunError, StoppedError
from halftone.feed import epoch_plan, pipeline
from halftone.feed.epoch_plan import EpochPlan
from halftone.feed.pipeline import BatchSource, CachedSource, StreamedSource
from halftone.feed.world import World
from halftone.model_directory import CHECKPOINTS, HISTORY, STOP_FILE, best_epoch
from halftone.models import saved_model
from halftone.progress import StepProgress, format_duration
from halftone.training import checkpoint, determinism
from halftone.training.checkpoint import Checkpoint, PartialEpoch
from halftone.training.distributed_model import DistributedModel
from halftone.training.epoch_callback import EpochCallback
from halftone.training.publish import build_network, publish_model
from halftone.training.stop_flag import StopFlag

History = list[dict[str, Any]]


def fit_rank(config: Config, manifest: Manifest, dataset: str, output: str, world: World) -> None:
    """Train on `dataset` and leave the model directory at `output`.

    Goes on after the last checkpoint there.

    Raises:
        RunError: the loss is not finite, a checkpoint cannot be written, or the dataset's files do
            not hold what they should.
        StoppedError: this process got SIGTERM, or a file `stop` came to be at `output`; a
            checkpoint was written.
    """
    started = time.monotonic()
    determinism.configure_process(world, config.seed, config.train.precision)
    with StopFlag(storage.join(output, STOP_FILE) if world.is_first else None) as wish:
        run = _RankTraining(config, manifest, dataset, output, world, wish)
        try:
            while not run.is_done():
                run.run_epoch()
        finally:
            run.close()
    if world.is_first:
        run.publish_best(time.monotonic() - started)


class _RankTraining:
    """A training on one rank; what it has done is in its history."""

    def __init__(
        self,
        config: Config,
        manifest: Manifest,
        dataset: str,
        output: str,
        world: World,
        stop_flag: StopFlag,
    ) -> None:
        self._config, self._settings = config, config.train
        self._manifest, self._dataset = manifest, dataset
        self._output, self._checkpoints = output, storage.join(output, CHECKPOINTS)
        self._fingerprint = model_directory.training_fingerprint(config, manifest)
        self._world, self._stop_flag = world, stop_flag
        self._rows_by_split = {
            split: sum(shard.rows for shard in manifest.shards(split))
            for split in (TRAIN, VALIDATION)
        }
        inner = build_network(config, manifest, augments=True)
        self._model = DistributedModel(inner.inputs, inner.outputs)
        self._is_cached = self._agree_on_cache()
        self._model.prepare(self._settings, len(manifest.labels), self._plan_epoch(1).steps)
        self._writer = ThreadPoolExecutor(1)
        self._pending_write: Optional[Future[None]] = (
            None  # the last checkpoint, on its way to storage
        )
        self._history, self._partial_epoch = self._resume()
        self._sources: dict[str, BatchSource] = {}

    def is_done(self) -> bool:
        done, patience = len(self._history), self._settings.patience
        if done >= self._settings.epochs:
            return True
        return bool(done and patience and done - best_epoch(self._history) >= patience)

    def run_epoch(self) -> None:
        """Train for one epoch, validate, and write a checkpoint."""
        number = len(self._history) + 1
        plan, middle, self._partial_epoch = self._plan_epoch(number), self._partial_epoch, None
        started = time.monotonic()
        watch = self._train_epoch(number, plan, middle)
        secs = self._max_over_ranks(time.monotonic() - started)
        if watch.nonfinite_step:
            raise RunError(self._nonfinite_message(number, watch.nonfinite_step))
        sums = self._reduce_metric_sums(middle)
        if watch.steps_done < plan.steps:
            self._save_partial_epoch(number, plan, watch.steps_done, sums)
        trained = self._check_rows(TRAIN, sums)
        steps = plan.steps - (middle.step if middle else 0)
        entry = {
            "epoch": number,
            **trained,
            **(self._validate() if self._rows_by_split[VALIDATION] else {}),
            "secs": round(secs, 3),
            "images_per_sec": round(self._rows_by_split[TRAIN] * steps / plan.steps / secs, 1),
        }
        self._history.append(entry)
        if self._world.is_first:
            self._save_checkpoint()
            left_secs = (self._settings.epochs - number) * (time.monotonic() - started)
            print(_format_epoch(entry, self._settings.epochs, left_secs), flush=True)
        if watch.is_stop_requested and not self.is_done():
            raise StoppedError(
                f"the checkpoint of epoch {number} is in {self._checkpoints}; {_RESUME_HINT}"
            )

    def _train_epoch(
        self, epoch: int, plan: EpochPlan, partial_epoch: Optional[PartialEpoch]
    ) -> EpochCallback:
        text = f"{self._config.seed}:{epoch}:{self._world.rank}"
        determinism.reseed(self._model, text)
        first_step = partial_epoch.step if partial_epoch else 0
        if partial_epoch:
            determinism.restore_random_states(
                self._model, partial_epoch.generators[self._world.rank]
            )
        progress = StepProgress(
            f"epoch {epoch}/{self._settings.epochs}",
            plan.steps,
            self._settings.batch_size,
            is_shown=self._world.is_first,
            num_done=first_step,
        )
        watch = EpochCallback(self._model, progress, first_step, self._stop_flag)
        self._model.reset_steps(first_step)
        source, steps = self._get_source(TRAIN, plan), plan.steps - first_step
        rows = source.epoch_dataset(plan, text if self._settings.shuffle else "", first_step)
        with pipeline.raise_read_errors(source):
            self._model.fit(rows, steps_per_epoch=steps, verbose=0, callbacks=[watch])
        if watch.steps_done == plan.steps:
            watch.sync_status()
        return watch

    def _validate(self) -> dict[str, float]:
        """Score each row of the validation split once, on one rank or another."""
        self._average_batch_statistics()
        shards = self._manifest.shards(VALIDATION)
        plan = epoch_plan.partition_shards(shards, self._world.size, self._settings.batch_size)
        source = self._get_source(VALIDATION, plan)
        rows = source.epoch_dataset(plan)
        with pipeline.raise_read_errors(source):
            self._model.evaluate(rows, steps=plan.steps, verbose=0)
        values = self._check_rows(VALIDATION, self._reduce_metric_sums())
        return {f"val_{name}": value for name, value in values.items()}

    def _average_batch_statistics(self) -> None:
        # Horovod: batch statistics are each rank's own; all ranks must judge the same network.
        for variable in self._model.non_trainable_variables:
            if variable.dtype.is_floating and self._world.size > 1:
                variable.assign(hvd.allreduce(variable, op=hvd.Average))

    def _reduce_metric_sums(
        self, partial_epoch: Optional[PartialEpoch] = None
    ) -> list[list[float]]:
        """Each metric's total and count over all ranks, and over what `middle` had done."""
        metrics = [metric for metric in self._model.metrics if metric.name != "loss"]
        own = tf.constant(
            [[metric.total.numpy(), metric.count.numpy()] for metric in metrics], tf.float64
        )
        # Horovod: a mean of the ranks' means would be wrong, as ranks have unequal rows.
        sums = hvd.allreduce(own, op=hvd.Sum) + (partial_epoch.sums if partial_epoch else 0.0)
        return [[float(total), float(count)] for total, count in sums.numpy()]

    def _check_rows(self, split: str, sums: list[list[float]]) -> dict[str, float]:
        """Return the metrics by name; raise RunError unless each row of the split was used once."""
        if any(round(count) != self._rows_by_split[split] for _, count in sums):
            raise RunError(
                f"{split}: {sums[0][1]:.0f} rows were used in an epoch, the manifest of "
                f"{self._dataset} has {self._rows_by_split[split]}; preprocess again"
            )
        names = (metric.name for metric in self._model.metrics if metric.name != "loss")
        rename = {"cross_entropy": "loss"}
        return {rename.get(name, name): total / count for name, (total, count) in zip(names, sums)}

    def _plan_epoch(self, epoch: int) -> EpochPlan:
        return epoch_plan.plan_epoch(
            self._manifest.shards(TRAIN),
            self._world.size,
            self._settings.batch_size,
            self._config.seed,
            epoch if self._settings.shuffle and not self._is_cached else 1,
            self._settings.aggregate_steps,
        )

    def _agree_on_cache(self) -> bool:
        """Whether all ranks keep their rows in memory."""
        height, width, channels = self._manifest.shape()
        part_bytes = (
            sum(self._rows_by_split.values()) * height * width * channels // self._world.size
        )
        if self._settings.cache == "auto":
            fits = pipeline.fits_in_memory(part_bytes, self._world.local_size)
            is_kept = bool(hvd.allreduce(tf.constant(int(fits)), op=hvd.Min))
        else:
            is_kept = self._settings.cache == "memory"
        if self._world.is_first:
            place = f"kept in memory, {part_bytes / 1e6:,.0f} MB a rank" if is_kept else "streamed"
            print(f"rows are {place} (train.cache {self._settings.cache})", flush=True)
        return is_kept

    def _get_source(self, split: str, plan: EpochPlan) -> BatchSource:
        if split not in self._sources:
            where = self._dataset, self._manifest.shape(), self._world
            self._sources[split] = (
                CachedSource(*where, plan)
                if self._is_cached
                else StreamedSource(*where, plan.rank_batch_size)
            )
        return self._sources[split]

    def _max_over_ranks(self, secs: float) -> float:
        return float(hvd.allreduce(tf.constant(secs, tf.float64), op=hvd.Max))

    def _resume(self) -> tuple[History, Optional[PartialEpoch]]:
        """Take up the last checkpoint, and give all ranks the same start."""
        history: History = []
        middle: Optional[PartialEpoch] = None
        if self._world.is_first:
            found = checkpoint.read_last_checkpoint(self._checkpoints, self._world.size)
            if found is not None:
                model_directory.check_training_fingerprint(
                    self._output, found.fingerprint, self._fingerprint
                )
                self._model.set_weights(found.weights)
                for variable, value in zip(self._model.optimizer.variables, found.optimizer):
                    variable.assign(value)
                history, middle = found.history, found.partial_epoch
                done = f"{found.epoch}, step {middle.step} of the next" if middle else found.epoch
                print(f"going on after epoch {done}, from {self._checkpoints}", flush=True)
            elif self._settings.start_from:
                self._model.set_weights(_load_weights(self._settings.start_from))
                print(f"starting from the weights of {self._settings.start_from}", flush=True)
        # Horovod: rank 0 may be the only one that can read the folder.
        hvd.broadcast_variables(self._model.variables + list(self._model.optimizer.variables), 0)
        history, middle = hvd.broadcast_object((history, middle), 0)
        return history, middle

    def _nonfinite_message(self, epoch: int, step: int) -> str:
        kept = f"epoch {epoch - 1}'s checkpoint stands" if epoch > 1 else "no checkpoint yet"
        return (
            f"epoch {epoch}, step {step}: the training loss is not finite; {kept}. Lower "
            f"train.learning_rate (it is {self._settings.learning_rate:g}), or set train.clip_norm"
        )

    def _make_checkpoint(self, partial_epoch: Optional[PartialEpoch] = None) -> Checkpoint:
        optimizer = [variable.numpy() for variable in self._model.optimizer.variables]
        weights = self._model.get_weights()
        return Checkpoint(weights, optimizer, list(self._history), self._fingerprint, partial_epoch)

    def _save_checkpoint(self) -> None:
        """Write a checkpoint, while the next epoch goes on."""
        self._wait_for_write()
        self._pending_write = self._writer.submit(self._write_checkpoint, self._make_checkpoint())

    def _write_checkpoint(self, new_checkpoint: Checkpoint) -> None:
        checkpoint.write_checkpoint(self._checkpoints, new_checkpoint)
        best = best_epoch(new_checkpoint.history)
        checkpoint.prune_checkpoints(self._checkpoints, self._settings.keep_checkpoints, best)
        self._write_history(new_checkpoint.history)

    def _write_history(self, history: History) -> None:
        storage.write_json(
            storage.join(self._output, HISTORY),
            {"best_epoch": best_epoch(history), "epochs": history},
        )

    def _save_partial_epoch(
        self, epoch: int, plan: EpochPlan, step: int, sums: list[list[float]]
    ) -> None:
        """Write a checkpoint of an epoch that is not done, and raise StoppedError."""
        self._average_batch_statistics()
        generators = hvd.allgather_object(determinism.random_states(self._model))
        if self._world.is_first:
            self._wait_for_write()
            middle = PartialEpoch(step, self._world.size, sums, generators)
            checkpoint.write_checkpoint(self._checkpoints, self._make_checkpoint(middle))
        raise StoppedError(
            f"the checkpoint of epoch {epoch}, step {step} of {plan.steps}, is in "
            f"{self._checkpoints}; {_RESUME_HINT}"
        )

    def _wait_for_write(self) -> None:
        """Wait until the last checkpoint is written; raise RunError if it could not be."""
        if self._pending_write is not None:
            self._pending_write.result()

    def close(self) -> None:
        self._writer.shutdown(wait=True)

    def publish_best(self, train_secs: float) -> None:
        """Write the model directory from the best epoch's checkpoint, its card last."""
        self._wait_for_write()
        # A job that was killed may have left the last checkpoint and no history of it.
        self._write_history(self._history)
        publish_model(
            self._config,
            self._manifest,
            self._output,
            checkpoint.read_checkpoint(self._checkpoints, best_epoch(self._history)),
            ranks=self._world.size,
            train_secs=train_secs,
        )


def _load_weights(model_root: str) -> list[npt.NDArray[np.float32]]:
    card = model_directory.read_model_info(model_root)
    weights: list[npt.NDArray[np.float32]] = saved_model.load_network(
        storage.join(model_root, card.network)
    ).get_weights()
    return weights


_RESUME_HINT = "run the same command again to go on"


def _format_epoch(entry: dict[str, Any], epochs: int, left_secs: float) -> str:
    metrics = ("loss", "accuracy", "val_loss", "val_accuracy")
    values = ", ".join(f"{name} {entry[name]:.4f}" for name in metrics if name in entry)
    left = f", {format_duration(left_secs)} left" if entry["epoch"] < epochs else ""
    return (
        f"epoch {entry['epoch']}/{epochs}: {values}, {entry['images_per_sec']:,.0f} images/s, "
        f"{format_duration(entry['secs'])}{left}"
    )
