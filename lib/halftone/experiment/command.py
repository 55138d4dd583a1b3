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
from halftone.experiment.datasets import DatasetCache
from halftone.experiment.outcomes import StageOutcomes
from halftone.experiment.places import ProcessLauncher, SparkLauncher, TrainingLauncher
from halftone.experiment.planning import RunPlanner
from halftone.experiment.run_job import StudyContext
from halftone.experiment.spec import ExperimentSpec
from halftone.experiment.stages import StageRunner, describe_failures
from halftone.spark.session import is_local_master, spark_session
from halftone.storage import clients
from halftone.tracking import tracking

SessionFactory = Callable[[], AbstractContextManager[SparkSession]]


def run_experiment(
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
    asked = spec.load_spec(path)
    output = storage.normalise_url(output or f"out/experiments/{asked.name}")
    overrides = {"paths.images": images, "train.epochs": epochs}
    planner = RunPlanner(asked, path, {k: v for k, v in overrides.items() if v is not None})
    planned = planner.plan_stages()
    clients.set_options(planner.base.storage.options)
    shrunk = {"--epochs": epochs, "--subset": subset}
    said = [f"{flag} {value:,}" for flag, value in shrunk.items() if value is not None]
    with ExitStack() as stack:
        place, session = _create_launcher(asked, planner.base, output, stack)
        made = DatasetCache(output, session)
        desk = StudyContext(output, asked.score, place, made.get, threading.Event())
        stages = StageRunner(asked, planner, desk, made, subset)
        stages.check_run_folders(planned)
        done: list[StageOutcomes] = []
        with tracking.track_study(
            planner.base.model_copy(update={"name": asked.name}),
            _study_tags(asked),
            output,
            (table.MARKDOWN, table.CSV, table.PAGE),
        ):
            for stage in asked.all_stages():
                done.append(stages.run_stage(stage, done))
                text = table.write_tables(asked, planner.base, done, output, said)
            print(text, flush=True)
            _check_no_failures(done)


def _create_launcher(
    experiment: ExperimentSpec, base: Config, output: str, stack: ExitStack
) -> tuple[TrainingLauncher, SessionFactory]:
    """Where trainings run, and what gives a SparkSession to make datasets with."""
    name = f"{experiment.name}: datasets"
    if experiment.on == "processes":
        # Spark's memory is the trainings' when the datasets are made.
        return ProcessLauncher(), lambda: spark_session(name, base.spark)
    spark = stack.enter_context(spark_session(experiment.name, base.spark))
    master = str(spark.sparkContext.master)
    if not is_local_master(master):
        _check_shared_storage(base, output, master)
    return SparkLauncher(spark), lambda: nullcontext(spark)


def _check_shared_storage(base: Config, output: str, master: str) -> None:
    """Raise InputError where other machines do not see what their trainings need."""
    if storage.is_local(output):
        raise InputError(
            f"{output}: is a folder of this machine, and trainings run where Spark's master "
            f"{master} has them; give an --output that all machines see, such as s3://bucket/out"
        )
    uri = tracking.store_uri(base.tracking)
    if base.tracking.enabled and uri.startswith(tracking.SQLITE_PREFIX):
        raise InputError(
            f"{uri}: is a file of this machine, and trainings run where Spark's master {master} "
            "has them; give a server's base.tracking.uri, or base.tracking.enabled: false"
        )


def _study_tags(experiment: ExperimentSpec) -> dict[str, str]:
    said: dict[str, Any] = {
        "about": experiment.about,
        "source": experiment.source,
        "stages": ", ".join(stage.name for stage in experiment.stages),
    }
    return {name: text for name, text in said.items() if text}


def _check_no_failures(stage_outcomes: Sequence[StageOutcomes]) -> None:
    """Raise RunError if a run failed."""
    every = [one for stage in stage_outcomes for one in stage.outcomes]
    failed = describe_failures(every)
    if failed:
        head = f"{len(failed)} of {len(every)} runs; the same command tries them again"
        raise RunError("\n".join([head, *failed]))
