"""An experiment from its file to its table."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Callable, Optional

from pyspark.sql import SparkSession

from halftone import storage
from halftone.config import Config
from halftone.errors import InputError, RunError
from halftone.experiment import spec, table
from halftone.experiment.datasets import Datasets
from halftone.experiment.outcomes import StageOutcomes
from halftone.experiment.places import Cluster, Place, Processes
from halftone.experiment.planning import Planner
from halftone.experiment.run_job import Desk
from halftone.experiment.spec import Spec
from halftone.experiment.stages import Stages, failures
from halftone.spark.session import is_local, spark_session
from halftone.storage import clients
from halftone.tracking import tracking

Session = Callable[[], AbstractContextManager[SparkSession]]


def run(
    path: str,
    images: Optional[str] = None,
    output: Optional[str] = None,
    epochs: Optional[int] = None,
    subset: Optional[int] = None,
) -> None:
    """Do all runs of the experiment in the file at `path`, and print and write its table.

    Args:
        images: instead of the file's base.paths.images.
        output: a folder or a URL; default: out/experiments/ and the experiment's name.
        epochs: of every run, instead of its own.
        subset: take so many images at most, as many of each class.

    Raises:
        InputError: the file, the images or what is at `output` is wrong; nothing was run.
        RunError: runs failed; each is named with its error and log. The others are in the table.
        StoppedError: SIGTERM; the same call goes on.
    """
    asked = spec.load(path)
    output = storage.normalise(output or f"out/experiments/{asked.name}")
    overrides = {"paths.images": images, "train.epochs": epochs}
    planner = Planner(asked, path, {k: v for k, v in overrides.items() if v is not None})
    planned = planner.check()
    clients.use(planner.base.storage.options)
    shrunk = {"--epochs": epochs, "--subset": subset}
    said = [f"{flag} {value:,}" for flag, value in shrunk.items() if value is not None]
    with ExitStack() as stack:
        place, session = _place(asked, planner.base, output, stack)
        made = Datasets(output, session)
        desk = Desk(output, asked.score, place, made.of, threading.Event())
        stages = Stages(asked, planner, desk, made, subset)
        stages.check_places(planned)
        done: list[StageOutcomes] = []
        with tracking.following_study(
            planner.base.model_copy(update={"name": asked.name}),
            _about(asked),
            output,
            (table.MARKDOWN, table.CSV, table.PAGE),
        ):
            for stage in asked.all_stages():
                done.append(stages.run(stage, done))
                text = table.write(asked, planner.base, done, output, said)
            print(text, flush=True)
            _check_failed(done)


def _place(asked: Spec, base: Config, output: str, stack: ExitStack) -> tuple[Place, Session]:
    """Where trainings run, and what gives a SparkSession to make datasets with."""
    name = f"{asked.name}: datasets"
    if asked.on == "processes":
        # Spark's memory is the trainings' when the datasets are made.
        return Processes(), lambda: spark_session(name, base.spark)
    spark = stack.enter_context(spark_session(asked.name, base.spark))
    master = str(spark.sparkContext.master)
    if not is_local(master):
        _check_shared(base, output, master)
    return Cluster(spark), lambda: nullcontext(spark)


def _check_shared(base: Config, output: str, master: str) -> None:
    """Raise InputError where other machines do not see what their trainings need."""
    if storage.is_local(output):
        raise InputError(
            f"{output}: is a folder of this machine, and trainings run where Spark's master "
            f"{master} has them; give an --output that all machines see, such as s3://bucket/out"
        )
    uri = tracking.store_uri(base.tracking)
    if base.tracking.enabled and uri.startswith(tracking.SQLITE):
        raise InputError(
            f"{uri}: is a file of this machine, and trainings run where Spark's master {master} "
            "has them; give a server's base.tracking.uri, or base.tracking.enabled: false"
        )


def _about(asked: Spec) -> dict[str, str]:
    said: dict[str, Any] = {
        "about": asked.about,
        "source": asked.source,
        "stages": ", ".join(stage.name for stage in asked.stages),
    }
    return {name: text for name, text in said.items() if text}


def _check_failed(done: Sequence[StageOutcomes]) -> None:
    """Raise RunError if a run failed."""
    every = [one for stage in done for one in stage.outcomes]
    failed = failures(every)
    if failed:
        head = f"{len(failed)} of {len(every)} runs; the same command tries them again"
        raise RunError("\n".join([head, *failed]))
