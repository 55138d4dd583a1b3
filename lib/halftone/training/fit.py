"""Fit one rank: feed, Keras model, Horovod, checkpoints. Every rank runs this code.

Each epoch is one call of Keras' `fit` with a dataset of its own. All randomness in it is a function
of (seed, epoch, rank), so a training that resumes from a checkpoint repeats what an uninterrupted
one would have done.
"""

from __future__ import annotations

import time
from typing import Any, Optional

import numpy.typing as npt
import tensorflow as tf

from halftone import model_directory, printable, storage
from halftone.config import Config
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import TRAIN, VALIDATION
from halftone.errors import InputError, RunError, StoppedError
from halftone.feed import pipeline
from halftone.feed.epoch_plan import EpochPlan
from halftone.feed.world import World
from halftone.metrics import epochs
from halftone.model_directory import STOP_FILE
from halftone.models import alternating_flip, layer_weights
from halftone.progress import StepProgress
from halftone.training import (
    checkpoint,
    class_balance,
    collectives,
    determinism,
    divergence,
    epoch_metrics,
    freezing,
    initial_kernels,
    schedules,
    start_weights,
)
from halftone.training.checkpoint import Checkpoint, History, PartialEpoch
from halftone.training.checkpoint_writer import CheckpointWriter
from halftone.training.distributed_model import DistributedModel
from halftone.training.epoch_callback import EpochCallback
from halftone.training.epoch_metrics import MetricSums
from halftone.training.freezing import Phase
from halftone.training.publish import build_network, publish_model
from halftone.training.rank_feed import RankFeed
from halftone.training.stop_flag import StopFlag
from halftone.training.validation import Validator

_RESUME_HINT = "run the same command again to go on"


def fit_rank(config: Config, manifest: Manifest, dataset: str, output: str, world: World) -> None:
    """Train on `dataset` as one rank; rank 0 writes the model directory at `output`.

    Resumes from the last checkpoint at `output`, if there is one.

    Raises:
        InputError: the checkpoint to resume from has weights that are not finite.
        RunError: the training loss, the weights, or the validation loss of all epochs are not
            finite; a checkpoint cannot be written; or the dataset's files do not match the
            manifest.
        StoppedError: a rank got SIGTERM, or a file `stop` was created at `output`; a checkpoint
            was written.
    """
    started_secs = time.monotonic()
    determinism.configure_process(world, config.seed, config.train.precision)
    stop_url = storage.join(output, STOP_FILE) if world.is_first else None
    with StopFlag(stop_url) as stop_flag:
        training = _RankTraining(config, manifest, dataset, output, world, stop_flag)
        try:
            while not training.is_finished():
                training.run_epoch()
        finally:
            training.close()
    if world.is_first:
        training.publish_best(time.monotonic() - started_secs)


class _RankTraining:
    """The state of a training on one rank."""

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
        self._manifest, self._dataset, self._output = manifest, dataset, output
        self._fingerprint = model_directory.training_fingerprint(config, manifest)
        self._world, self._stop_flag = world, stop_flag
        self._feed = RankFeed(config, manifest, dataset, world)
        network = build_network(config, manifest, augments=True)
        self._model = DistributedModel(network.inputs, network.outputs)
        best_by = self._settings.best_by
        self._writer = CheckpointWriter(output, self._settings.keep_checkpoints, best_by)
        self._history: History = []
        self._partial_epoch: Optional[PartialEpoch] = None
        self._phase: Optional[Phase] = None
        self._restore_or_initialise()

    def is_finished(self) -> bool:
        """Whether all epochs are done, or none was better (train.best_by) for too long."""
        num_epochs, patience = len(self._history), self._settings.patience
        if num_epochs >= self._settings.epochs:
            return True
        best = epochs.best_epoch(self._history, self._settings.best_by)
        if best is None or patience is None:
            return False
        # Frozen layers that are to be trained get their turn, and `patience` epochs for it.
        last_start = freezing.phase_after(self._settings, self._settings.epochs).epochs_before
        return num_epochs - max(best, last_start) >= patience

    def _enter_phase(self) -> Phase:
        """Compile the model for the phase of the next epoch, unless it is in it, and return it."""
        phase = freezing.phase_after(self._settings, len(self._history))
        if phase == self._phase:
            return phase
        self._phase = phase
        self._model.compile_for_training(
            phase.settings,
            len(self._manifest.labels),
            self._feed.plan_train(1).steps,
            class_balance.class_weights(self._settings, self._manifest),
            freezing.frozen_layers(self._model, self._settings) if phase.is_frozen else (),
            phase.epochs_before,
        )
        self._validator = Validator(self._model, self._manifest.labels, self._settings.best_by)
        line = freezing.describe_phase(self._model, self._settings, phase)
        if line and self._world.is_first:
            printable.print_line(line)
        return phase

    def run_epoch(self) -> None:
        """Train for one epoch, validate, and write a checkpoint."""
        epoch = len(self._history) + 1
        phase = self._enter_phase()
        plan = self._feed.plan_train(epoch)
        partial_epoch, self._partial_epoch = self._partial_epoch, None
        if self._settings.decay == "plateau":
            ranks = epochs.rank_epochs(self._history, self._settings.best_by)
            factor = schedules.reduce_on_plateau(ranks[phase.epochs_before :], phase.settings)
            self._model.set_plateau_factor(factor)
        started_secs = time.monotonic()
        callback = self._train_epoch(epoch, plan, partial_epoch)
        secs = self._max_over_ranks(time.monotonic() - started_secs)
        self._check_is_finite(epoch, callback)
        sums = epoch_metrics.reduce_sums(self._model, partial_epoch)
        if callback.steps_done < plan.steps:
            self._save_partial_epoch(epoch, plan, callback.steps_done, sums)
        train_metrics = self._mean_metrics(TRAIN, sums)
        steps = plan.steps - (partial_epoch.step if partial_epoch else 0)
        entry = {
            "epoch": epoch,
            **train_metrics,
            **(self._validate() if self._feed.rows[VALIDATION] else {}),
            **self._changing_entries(),
            "secs": round(secs, 3),
            "images_per_sec": round(self._feed.rows[TRAIN] * steps / plan.steps / secs, 1),
        }
        self._history.append(entry)
        if self._world.is_first:
            self._writer.wait()  # at most one copy of the weights waits to be written
            self._writer.write_in_background(self._make_checkpoint())
            remaining_secs = (self._settings.epochs - epoch) * (time.monotonic() - started_secs)
            print(
                epoch_metrics.format_epoch(entry, self._settings.epochs, remaining_secs), flush=True
            )
        if callback.is_stop_requested and not self.is_finished():
            raise StoppedError(
                f"the checkpoint of epoch {epoch} is in {self._writer.folder}; {_RESUME_HINT}"
            )

    def _changing_entries(self) -> dict[str, float]:
        """Values of an epoch that are in the history unless they are the same in all epochs."""
        settings = self._settings
        entries: dict[str, float] = {}
        if settings.freeze != "none":
            entries["trainable_parameters"] = self._model.num_trainable_parameters
        if settings.decay != "none" or settings.unfreeze_after_epochs:
            # That of the last update.
            entries["learning_rate"] = self._model.learning_rate
        return entries

    def _check_is_finite(self, epoch: int, callback: EpochCallback) -> None:
        """Raise RunError if the loss of a step was not finite on any rank, or weights are not."""
        what = ""
        if callback.nonfinite_step:
            what = f"epoch {epoch}, step {callback.nonfinite_step}: the training loss is"
        # The loss of a step is computed before its update: it may be finite and the update not.
        elif not divergence.are_finite(self._model.get_weights()):
            what = f"epoch {epoch}: after step {callback.steps_done}, weights are"
        if what:
            raise divergence.diverged_error(what, len(self._history), self._settings)

    def _train_epoch(
        self, epoch: int, plan: EpochPlan, partial_epoch: Optional[PartialEpoch]
    ) -> EpochCallback:
        """Train for the steps of an epoch that are left; all ranks may stop early."""
        seed_text = f"{self._config.seed}:{epoch}:{self._world.rank}"
        determinism.reseed(self._model, seed_text)
        alternating_flip.set_epoch(self._model, epoch)
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
        callback = EpochCallback(self._model, progress, first_step, self._stop_flag)
        self._model.reset_steps(first_step)
        source, steps = self._feed.open_source(TRAIN, plan), plan.steps - first_step
        shuffle_seed = seed_text if self._settings.shuffle else ""
        batches = source.epoch_dataset(plan, shuffle_seed, first_step)
        with pipeline.raise_read_errors(source):
            self._model.fit(batches, steps_per_epoch=steps, verbose=0, callbacks=[callback])
        if callback.steps_done == plan.steps:
            callback.sync_status()
        return callback

    def _validate(self) -> dict[str, Optional[float]]:
        """Score each row of the validation split once, on one of the ranks."""
        self._model.average_batch_statistics()
        plan = self._feed.plan_validation()
        source = self._feed.open_source(VALIDATION, plan)
        batches = source.epoch_dataset(plan)
        with pipeline.raise_read_errors(source), self._model.averaged_weights():
            values = self._validator.score(batches, plan.steps)
        metrics = self._mean_metrics(VALIDATION, epoch_metrics.reduce_sums(self._model))
        return {**{f"val_{name}": value for name, value in metrics.items()}, **values}

    def _mean_metrics(self, split: str, sums: MetricSums) -> dict[str, Optional[float]]:
        """Return the metrics by name; raise RunError unless each row of the split was used once."""
        if any(round(count) != self._feed.rows[split] for _, count in sums):
            raise RunError(
                f"{split}: {sums[0][1]:.0f} rows were used in an epoch, the manifest of "
                f"{self._dataset} has {self._feed.rows[split]}; preprocess again"
            )
        return epoch_metrics.mean_metrics(self._model, sums)

    def _max_over_ranks(self, secs: float) -> float:
        return float(collectives.all_reduce(tf.constant(secs, tf.float64), collectives.MAX))

    def _restore_or_initialise(self) -> None:
        """Give all ranks the same state: the last checkpoint, `start_from`, or that of rank 0."""
        last: Optional[Checkpoint] = None
        if self._world.is_first:
            last = checkpoint.read_last_checkpoint(self._writer.folder, self._world.size)
            if last is not None:
                self._check_checkpoint(last)
                printable.print_line(f"resuming {last.place}, from {self._writer.folder}")
                self._history, self._partial_epoch = last.history, last.partial_epoch
            else:
                initial_kernels.set_initial_kernels(
                    self._model, self._settings, self._manifest, self._dataset
                )
                labels = self._manifest.labels
                origin = start_weights.set_start_weights(self._model, self._settings, labels)
                if origin:
                    printable.print_line(origin)
        # Horovod: rank 0 may be the only one that can read the folder. The number of the
        # optimizer's variables depends on the phase, and so on the history.
        self._history, self._partial_epoch = collectives.broadcast(
            (self._history, self._partial_epoch)
        )
        self._enter_phase()
        if last is not None:
            self._restore(last)
        elif self._model.average:
            self._model.average.restart()
        collectives.broadcast_variables(self._model.state_variables)
        layer_weights.finalize_layers(self._model)

    def _check_checkpoint(self, last: Checkpoint) -> None:
        """Raise InputError unless the training can resume from a checkpoint."""
        model_directory.check_training_fingerprint(
            self._output, last.fingerprint, self._fingerprint
        )
        if not divergence.are_finite(last.weights):
            raise InputError(
                f"{checkpoint.checkpoint_url(self._writer.folder, last.position)}: weights are not "
                "finite, so the training cannot resume from it; remove this file to resume from an "
                "older checkpoint"
            )

    def _restore(self, last: Checkpoint) -> None:
        """Set the variables of model and optimizer to those of a checkpoint."""
        self._model.set_weights(last.weights)
        for variable, value in zip(self._model.optimizer_variables, last.optimizer):
            variable.assign(value)
        if self._model.average:
            self._model.average.load(last.averages)

    def _make_checkpoint(self, partial_epoch: Optional[PartialEpoch] = None) -> Checkpoint:
        optimizer: list[npt.NDArray[Any]] = []
        # The optimizer of another phase is new.
        if freezing.phase_after(self._settings, len(self._history)) == self._phase:
            optimizer = [variable.numpy() for variable in self._model.optimizer_variables]
        weights = self._model.get_weights()
        averages = self._model.average.values() if self._model.average else []
        return Checkpoint(
            weights, optimizer, list(self._history), self._fingerprint, partial_epoch, averages
        )

    def _save_partial_epoch(self, epoch: int, plan: EpochPlan, step: int, sums: MetricSums) -> None:
        """Write a checkpoint of an unfinished epoch, and raise StoppedError."""
        self._model.average_batch_statistics()
        generators = collectives.gather(determinism.random_states(self._model))
        if self._world.is_first:
            self._writer.wait()
            partial_epoch = PartialEpoch(step, self._world.size, sums, generators)
            self._writer.write(self._make_checkpoint(partial_epoch))
        raise StoppedError(
            f"the checkpoint of epoch {epoch}, step {step} of {plan.steps}, is in "
            f"{self._writer.folder}; {_RESUME_HINT}"
        )

    def close(self) -> None:
        self._writer.close()

    def publish_best(self, train_secs: float) -> None:
        """Write the model of the best epoch's checkpoint, and the history.

        Raises:
            RunError: no epoch has a finite loss.
        """
        self._writer.wait()
        # A job that was killed may have written its last checkpoint, but not the history.
        self._writer.write_history(self._history)
        best = epochs.best_epoch(self._history, self._settings.best_by)
        if best is None:
            raise divergence.no_model_error(self._history, self._settings)
        publish_model(
            self._config,
            self._manifest,
            self._output,
            checkpoint.read_checkpoint(self._writer.folder, best),
            ranks=self._world.size,
            train_secs=train_secs,
        )
