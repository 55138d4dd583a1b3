"""Train on a dataset: check what can be checked, and start the ranks where they shall run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Callable, Optional

from pyspark.sql import SparkSession

from halftone import model_directory, storage
from halftone.config import Config, Convnet, Train, differing
from halftone.dataset import manifest
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import TRAIN
from halftone.errors import InputError
from halftone.launch import local_ranks, rank, restarts, signals, spark_ranks
from halftone.launch.restarts import Start
from halftone.model_directory import CARD, CHECKPOINTS, CURVES, HISTORY, Card
from halftone.spark.session import borrowed, is_local, submitted_conf
from halftone.spark.slots import wait_for
from halftone.tracking import tracking
from halftone.training import checkpoint

_SLOW_STATISTICS = 0.05  # of the first values of batch normalisation, left at the end


def train(config: Config, dataset: str, output: str, session: Callable[[], SparkSession]) -> Card:
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
    dataset, output = storage.normalise(dataset), storage.normalise(output)
    if config.train.start_from:
        first = {"start_from": storage.normalise(config.train.start_from)}
        config = config.model_copy(update={"train": config.train.model_copy(update=first)})
    data = manifest.read(dataset)
    if _is_finished(config, data, output):
        print(f"nothing to do: the training at {output} is finished", flush=True)
        return model_directory.read_card(output)
    settings = config.train
    rows = sum(shard.rows for shard in data.shards(TRAIN))
    if not rows:
        raise InputError(
            f"{dataset}: the train split is empty; preprocess with smaller fractions for the others"
        )
    if settings.normalise == "standard":
        data.pixel_statistics(TRAIN)  # the ranks will need them
    if isinstance(settings.model, Convnet):
        settings.model.check_images(*data.shape()[:2])
    if settings.start_from:
        _check_start(settings, data, dataset)
    launcher = _launcher(settings)
    start = _starter(launcher, settings, rank.job(config, data, dataset, output), session)
    print(
        f"training on {rows:,} images, {settings.ranks} rank{'s' * (settings.ranks > 1)} "
        f"({launcher}), batch {settings.batch_size} = {settings.ranks} x "
        f"{settings.batch_size // settings.ranks}",
        flush=True,
    )
    for note in notes(settings, rows):
        print(f"note: {note}", flush=True)
    with tracking.following(config, data, dataset, output):
        with signals.listening(output) as asked:
            if start is None:
                rank.fit(config, data, dataset, output)
            else:
                restarts.run(start, output, settings.ranks, settings.max_restarts, asked)
        _draw_curves(output)
    return model_directory.read_card(output)


def notes(settings: Train, rows: int) -> list[str]:
    """What to know of settings that can be trained with, and hardly as they are meant.

    Args:
        rows: of the train split.
    """
    model = settings.model
    if not isinstance(model, Convnet) or not model.batch_norm or settings.start_from:
        return []
    steps = settings.epochs * -(-rows // settings.batch_size)
    left = model.batch_norm_momentum**steps
    if left < _SLOW_STATISTICS:
        return []
    return [
        f"after all {steps:,} steps batch normalisation's running mean and deviation, with which "
        f"the model validates and scores, are still {left:.0%} what they began with; use "
        f"train.model.batch_norm_momentum 0.9 (it is {model.batch_norm_momentum:g}), or more epochs"
    ]


def _starter(
    launcher: str, settings: Train, job: Mapping[str, Any], session: Callable[[], SparkSession]
) -> Optional[Start]:
    """What starts the ranks; None where this process is the only one.

    Raises:
        InputError: there is no room for so many ranks.
    """
    if launcher == "process":
        return None
    if launcher == "horovodrun":
        local_ranks.slots(settings)
        return lambda _: local_ranks.started(job, settings)
    spark = session()
    wait_for(spark, settings.ranks)
    return partial(spark_ranks.started, job, settings.ranks, spark)


def _launcher(settings: Train) -> str:
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
    given, submitted = borrowed(), submitted_conf()
    if given is not None:
        master = given.sparkContext.master
    elif submitted is not None:
        master = submitted.get("spark.master")
    else:
        return "horovodrun"
    return "horovodrun" if is_local(str(master)) else "spark"


def _is_finished(config: Config, data: Manifest, output: str) -> bool:
    """Look at what is at `output`; raise InputError where it is something else than ours."""
    model_directory.check_place(output)
    found = checkpoint.last(storage.join(output, CHECKPOINTS))
    origin = model_directory.origin(config, data)
    if found is not None:
        model_directory.check_origin(output, found.origin, origin)
    if not storage.exists(storage.join(output, CARD)):
        return False
    card = model_directory.read_card(output)
    model_directory.check_origin(output, card.origin, origin)
    return card.config.train.epochs >= config.train.epochs


def _check_start(settings: Train, data: Manifest, dataset: str) -> None:
    """Raise InputError where the weights of `start_from` are not those of this network."""
    url = str(settings.start_from)
    card = model_directory.read_card(url)
    model_directory.check_fits(card, data, url, dataset)
    there, here = (
        {**one.model.model_dump(), "normalise": one.normalise}
        for one in (card.config.train, settings)
    )
    changes = [f"{key} {old!r} there, {new!r} here" for key, old, new in differing(there, here)]
    if changes:
        raise InputError(
            f"train.start_from: the network at {url} is another one: {'; '.join(changes)}. Give "
            "train.model and train.normalise as they are there, or leave start_from out"
        )


def _draw_curves(output: str) -> None:
    from halftone.report import plots  # here, as it takes Matplotlib's second to import

    history = storage.read_json(storage.join(output, HISTORY))["epochs"]
    storage.write_bytes(storage.join(output, CURVES), plots.learning_curves(history))
