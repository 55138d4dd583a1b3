"""Train on a dataset: check the settings, choose a launcher, and run the ranks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Callable, Optional

from pyspark.sql import SparkSession

from halftone import measures, model_directory, printable, storage
from halftone.config import Config, Convnet, NetworkSettings, Residual, TrainSettings
from halftone.dataset import integrity
from halftone.dataset.manifest import Manifest, read_manifest
from halftone.dataset.splits import TRAIN, VALIDATION
from halftone.errors import InputError
from halftone.launch import (
    local_ranks,
    network_checks,
    rank,
    rank_load,
    restarts,
    signals,
    spark_ranks,
)
from halftone.launch.restarts import StartRanks
from halftone.locking.output import hold_output
from halftone.model_directory import CHECKPOINTS, CURVES, HISTORY, MODEL_INFO, ModelInfo
from halftone.progress import log_notes
from halftone.spark.session import find_active_session, submitted_conf
from halftone.spark.settings import is_local_master, is_local_spark
from halftone.spark.slots import wait_for_slots
from halftone.tracking import tracking
from halftone.training import checkpoint, class_balance

# The most that the moving statistics of batch normalisation may still hold of their initial values
# after the last step.
_MAX_INITIAL_STATISTICS_FRACTION = 0.05


def train_model(
    config: Config, dataset: str, output: str, session: Callable[[], SparkSession]
) -> ModelInfo:
    """Train on the dataset at `dataset` and return the description of the model at `output`.

    Args:
        session: returns the SparkSession; called only by the launcher `spark`.

    Raises:
        InputError: dataset, output and config do not fit together, the output cannot be written, or
            there are too few slots for the ranks.
        LockHeldError: another process writes to the output.
        RunError: the training failed; the same call resumes from its last checkpoint.
        StoppedError: SIGTERM or a file `stop` at `output` stopped it; the same call resumes.
        KeyboardInterrupt: SIGINT stopped it; the same call resumes.
    """
    dataset, output = storage.normalise_url(dataset), storage.normalise_url(output)
    config = network_checks.with_absolute_urls(config)
    manifest = read_manifest(dataset)
    settings = config.train
    if not _is_finished(config, manifest, output):
        _check_settings(settings, manifest, dataset)
        launcher = _choose_launcher(settings)
        integrity.check_shards(dataset, manifest, (TRAIN, VALIDATION))
        with hold_output(output, "train") as lock:
            # Another process may have trained it between the check and the lock.
            if not _is_finished(config, manifest, output):
                _train(config, manifest, dataset, output, launcher, session)
                lock.check()
                return model_directory.read_model_info(output)
    if CURVES not in storage.list_names(output):
        _draw_curves(output)
    _write_cards(output, manifest, config)
    printable.print_line(f"nothing to do: the training at {output} is finished")
    return model_directory.read_model_info(output)


def _train(
    config: Config,
    manifest: Manifest,
    dataset: str,
    output: str,
    launcher: str,
    session: Callable[[], SparkSession],
) -> None:
    """Run the ranks to the end of the training, and draw its curves."""
    settings = config.train
    job = rank.build_job(config, manifest, dataset, output)
    start_ranks = _make_rank_starter(launcher, settings, job, session)
    rows = _count_train_rows(manifest)
    print(
        f"training on {rows:,} images, {settings.ranks} rank{'s' * (settings.ranks > 1)} "
        f"({launcher}), batch {settings.batch_size} = {settings.ranks} x "
        f"{settings.batch_size // settings.ranks}",
        flush=True,
    )
    if launcher == "horovodrun":
        log_notes(rank_load.load_notes(settings.ranks, settings.hosts))
    log_notes(settings_notes(settings, rows))
    log_notes(class_balance.balance_notes(settings, manifest))
    with (
        tracking.track_training(config, manifest, dataset, output),
        measures.updating(partial(_measure, output)),
    ):
        with signals.forward_signals(output) as stop_request:
            if start_ranks is None:
                rank.train_in_process(config, manifest, dataset, output)
            else:
                restarts.run_with_restarts(
                    start_ranks, output, settings.ranks, settings.max_restarts, stop_request
                )
        _draw_curves(output)
        _write_cards(output, manifest, config)


def _measure(output: str) -> None:
    """Set the measures of a training from what rank 0 has written so far, wherever it runs."""
    restarts_so_far = model_directory.read_restarts(output)
    measures.set_value(measures.RANK_RESTARTS, len(restarts_so_far))
    last = storage.read_json(storage.join(output, HISTORY))["epochs"][-1]
    measures.set_value(measures.EPOCHS, last["epoch"])
    measures.set_value(measures.IMAGES_PER_SECOND, last["images_per_sec"])
    for split, prefix in ((TRAIN, ""), (VALIDATION, "val_")):
        for measure, name in ((measures.LOSS, "loss"), (measures.ACCURACY, "accuracy")):
            if last.get(prefix + name) is not None:
                measures.set_value(measure, last[prefix + name], split)


def settings_notes(settings: TrainSettings, rows: int) -> list[str]:
    """Return warnings about settings that are valid but unlikely to be intended.

    Args:
        rows: number of rows of the train split.
    """
    momentum = _batch_norm_momentum(settings.model)
    if momentum is None or settings.start_from:
        return []
    steps = settings.epochs * -(-rows // settings.batch_size)
    initial_fraction = momentum**steps
    if initial_fraction < _MAX_INITIAL_STATISTICS_FRACTION:
        return []
    return [
        f"after all {steps:,} steps batch normalisation's running mean and deviation, which "
        f"validation and scoring use, still hold {initial_fraction:.0%} of their initial values; "
        f"use train.model.batch_norm_momentum 0.9 (it is {momentum:g}), or more epochs"
    ]


def _batch_norm_momentum(model: NetworkSettings) -> Optional[float]:
    """Return the momentum of the network's batch normalisation; None if it has none to set."""
    if isinstance(model, Residual) or (isinstance(model, Convnet) and model.batch_norm):
        return model.batch_norm_momentum
    return None


def _make_rank_starter(
    launcher: str,
    settings: TrainSettings,
    job: Mapping[str, Any],
    session: Callable[[], SparkSession],
) -> Optional[StartRanks]:
    """Return the function that starts the ranks, or None if this process is the only rank.

    Raises:
        InputError: there are too few slots for the ranks.
    """
    if launcher == "process":
        return None
    if launcher == "horovodrun":
        local_ranks.slots_by_host(settings)
        return lambda _: local_ranks.start_rank_processes(job, settings)
    spark = session()
    wait_for_slots(spark, settings.ranks)
    return partial(spark_ranks.start_spark_ranks, job, settings.ranks, spark)


def _choose_launcher(settings: TrainSettings) -> str:
    """Return `process`, `horovodrun` or `spark`.

    Raises:
        InputError: `train.hosts` is set for a launcher that ignores it.
    """
    if settings.hosts is not None:
        if settings.launcher not in ("auto", "horovodrun"):
            raise InputError(
                f"train.hosts is {settings.hosts}, which train.launcher {settings.launcher} does "
                "not use; use launcher horovodrun, or remove hosts"
            )
        return "horovodrun"
    if settings.launcher != "auto":
        return settings.launcher
    if settings.ranks == 1:
        return "process"
    active, conf = find_active_session(), submitted_conf()
    if active is not None:
        is_local = is_local_spark(active)
    else:
        is_local = conf is None or is_local_master(str(conf.get("spark.master")))
    return "horovodrun" if is_local else "spark"


def _is_finished(config: Config, manifest: Manifest, output: str) -> bool:
    """Whether the training at `output` has run all its epochs, and all files of its model exist.

    Raises:
        InputError: `output` is something else, or a training with other settings, or a file of the
            model is missing that cannot be made again.
    """
    model_directory.check_model_root(output)
    last = checkpoint.read_last_checkpoint(storage.join(output, CHECKPOINTS))
    fingerprint = model_directory.training_fingerprint(config, manifest)
    if last is not None:
        model_directory.check_training_fingerprint(output, last.fingerprint, fingerprint)
    if not storage.exists(storage.join(output, MODEL_INFO)):
        return False
    info = model_directory.read_model_json(output)
    model_directory.check_training_fingerprint(output, info.origin, fingerprint)
    missing = model_directory.find_missing_files(output, info)
    if missing and last is None:
        raise InputError(
            f"{output}: {', '.join(missing)} of the model is missing, and there is no checkpoint "
            "to make it from; restore it, or remove the folder to train again"
        )
    return not missing and info.config.train.epochs >= config.train.epochs


def _count_train_rows(manifest: Manifest) -> int:
    return manifest.totals(TRAIN).rows


def _check_settings(settings: TrainSettings, manifest: Manifest, dataset: str) -> None:
    """Raise InputError unless the settings fit the dataset and the weights to start from."""
    rows = _count_train_rows(manifest)
    if not rows:
        raise InputError(
            f"{dataset}: the train split is empty; preprocess with smaller fractions for the others"
        )
    if rows < settings.ranks:
        raise InputError(
            f"train.ranks is {settings.ranks}, but the train split of {dataset} has {rows} "
            f"row{'s' * (rows > 1)}; use train.ranks={rows}"
        )
    if settings.needs_statistics:
        manifest.pixel_statistics(TRAIN)  # raises if the dataset has none; the ranks need them
    _check_validation(settings, manifest, dataset)
    class_balance.check_sampling(settings, manifest)
    class_balance.class_weights(settings, manifest)  # raises if they do not fit the classes
    network_checks.check_network_settings(settings, manifest, dataset)


def _check_validation(settings: TrainSettings, manifest: Manifest, dataset: str) -> None:
    """Raise InputError unless the validation split has the rows that `best_by` needs."""
    if settings.best_by == "val_loss":  # without validation rows, it is the training loss
        return
    counts = manifest.counts.get(VALIDATION, {})
    num_classes = sum(count > 0 for count in counts.values())
    needed = 2 if settings.best_by == "val_auc" else 1
    if num_classes < needed:
        raise InputError(
            f"train.best_by {settings.best_by} needs validation rows of at least {needed} "
            f"class{'es' * (needed > 1)}; {dataset} has those of {num_classes}. Preprocess with a "
            "larger splits.validation_fraction, or use best_by val_loss"
        )


def _draw_curves(output: str) -> None:
    from halftone.report import plots  # here: it imports Matplotlib, which takes a second

    content = storage.read_json(storage.join(output, HISTORY))
    curves = plots.draw_learning_curves_png(content["epochs"], content["best_epoch"])
    storage.write_bytes(storage.join(output, CURVES), curves)


def _write_cards(output: str, manifest: Manifest, config: Config) -> None:
    from halftone.launch import cards  # here: it imports Matplotlib too

    cards.write_cards(output, manifest, config.card)
