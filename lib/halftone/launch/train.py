"""Train on a dataset: check what can be checked, and start the ranks where they shall run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Callable, Optional

from pyspark.sql import SparkSession

from halftone import model_directory, storage
from halftone.config import Config, Convnet, TrainSettings, diff_settings
from halftone.dataset import manifest
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import TRAIN
from halftone.errors import InputError
from halftone.launch import local_ranks, rank, restarts, signals, spark_ranks
from halftone.launch.restarts import StartRanks
from halftone.model_directory import CHECKPOINTS, CURVES, HISTORY, MODEL_INFO, ModelInfo
from halftone.spark.session import find_active_session, is_local_master, submitted_conf
from halftone.spark.slots import wait_for_slots
from halftone.tracking import tracking
from halftone.training import checkpoint

_MAX_INITIAL_STATISTICS_FRACTION = (
    0.05  # of the first values of batch normalisation, left at the end
)


def train_model(
    config: Config, dataset: str, output: str, session: Callable[[], SparkSession]
) -> ModelInfo:
    """Train on the dataset at `dataset` and return the card of the model at `output`.

    Args:
        session: gives the SparkSession; called only by the launcher `spark`.

    Raises:
        InputError: dataset, output and config do not go together, or there is no room for all
            ranks.
        RunError: the training failed on the way; the same call goes on from its last checkpoint.
        StoppedError: SIGTERM, or a file `stop` at `output`, asked for it; the same call goes on.
        KeyboardInterrupt: so did SIGINT.
    """
    dataset, output = storage.normalise_url(dataset), storage.normalise_url(output)
    if config.train.start_from:
        first = {"start_from": storage.normalise_url(config.train.start_from)}
        config = config.model_copy(update={"train": config.train.model_copy(update=first)})
    data = manifest.read_manifest(dataset)
    if _is_finished(config, data, output):
        print(f"nothing to do: the training at {output} is finished", flush=True)
        return model_directory.read_model_info(output)
    settings = config.train
    rows = sum(shard.rows for shard in data.shards(TRAIN))
    if not rows:
        raise InputError(
            f"{dataset}: the train split is empty; preprocess with smaller fractions for the others"
        )
    if settings.normalise == "standard":
        data.pixel_statistics(TRAIN)  # the ranks will need them
    if isinstance(settings.model, Convnet):
        settings.model.check_image_size(*data.shape()[:2])
    if settings.start_from:
        _check_start_weights(settings, data, dataset)
    launcher = _choose_launcher(settings)
    start = _make_rank_starter(
        launcher, settings, rank.build_job(config, data, dataset, output), session
    )
    print(
        f"training on {rows:,} images, {settings.ranks} rank{'s' * (settings.ranks > 1)} "
        f"({launcher}), batch {settings.batch_size} = {settings.ranks} x "
        f"{settings.batch_size // settings.ranks}",
        flush=True,
    )
    for note in settings_notes(settings, rows):
        print(f"note: {note}", flush=True)
    with tracking.track_training(config, data, dataset, output):
        with signals.forward_signals(output) as asked:
            if start is None:
                rank.train_in_process(config, data, dataset, output)
            else:
                restarts.run_with_restarts(
                    start, output, settings.ranks, settings.max_restarts, asked
                )
        _draw_curves(output)
    return model_directory.read_model_info(output)


def settings_notes(settings: TrainSettings, rows: int) -> list[str]:
    """What to know of settings that can be trained with, and hardly as they are meant.

    Args:
        rows: of the train split.
    """
    model = settings.model
    if not isinstance(model, Convnet) or not model.batch_norm or settings.start_from:
        return []
    steps = settings.epochs * -(-rows // settings.batch_size)
    left = model.batch_norm_momentum**steps
    if left < _MAX_INITIAL_STATISTICS_FRACTION:
        return []
    return [
        f"after all {steps:,} steps batch normalisation's running mean and deviation, with which "
        f"the model validates and scores, are still {left:.0%} what they began with; use "
        f"train.model.batch_norm_momentum 0.9 (it is {model.batch_norm_momentum:g}), or more epochs"
    ]


def _make_rank_starter(
    launcher: str,
    settings: TrainSettings,
    job: Mapping[str, Any],
    session: Callable[[], SparkSession],
) -> Optional[StartRanks]:
    """What starts the ranks; None where this process is the only one.

    Raises:
        InputError: there is no room for so many ranks.
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
    if settings.hosts is not None:
        if settings.launcher not in ("auto", "horovodrun"):
            raise InputError(
                f"train.hosts is {settings.hosts}, which train.launcher {settings.launcher} does "
                "not use; use launcher horovodrun, or take hosts out"
            )
        return "horovodrun"
    if settings.launcher != "auto":
        return settings.launcher
    if settings.ranks == 1:
        return "process"
    given, submitted = find_active_session(), submitted_conf()
    if given is not None:
        master = given.sparkContext.master
    elif submitted is not None:
        master = submitted.get("spark.master")
    else:
        return "horovodrun"
    return "horovodrun" if is_local_master(str(master)) else "spark"


def _is_finished(config: Config, data: Manifest, output: str) -> bool:
    """Look at what is at `output`; raise InputError where it is something else than ours."""
    model_directory.check_model_root(output)
    found = checkpoint.read_last_checkpoint(storage.join(output, CHECKPOINTS))
    origin = model_directory.training_fingerprint(config, data)
    if found is not None:
        model_directory.check_training_fingerprint(output, found.fingerprint, origin)
    if not storage.exists(storage.join(output, MODEL_INFO)):
        return False
    card = model_directory.read_model_info(output)
    model_directory.check_training_fingerprint(output, card.origin, origin)
    return card.config.train.epochs >= config.train.epochs


def _check_start_weights(settings: TrainSettings, data: Manifest, dataset: str) -> None:
    """Raise InputError where the weights of `start_from` are not those of this network."""
    url = str(settings.start_from)
    card = model_directory.read_model_info(url)
    model_directory.check_model_fits(card, data, url, dataset)
    there, here = (
        {**one.model.model_dump(), "normalise": one.normalise}
        for one in (card.config.train, settings)
    )
    changes = [f"{key} {old!r} there, {new!r} here" for key, old, new in diff_settings(there, here)]
    if changes:
        raise InputError(
            f"train.start_from: the network at {url} is another one: {'; '.join(changes)}. Give "
            "train.model and train.normalise as they are there, or leave start_from out"
        )


def _draw_curves(output: str) -> None:
    from halftone.report import plots  # here, as it takes Matplotlib's second to import

    history = storage.read_json(storage.join(output, HISTORY))["epochs"]
    storage.write_bytes(storage.join(output, CURVES), plots.draw_learning_curves_png(history))
