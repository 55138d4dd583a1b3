"""Run an experiment from its file to its table."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Callable, Optional

from pyspark.sql import SparkSession

from halftone import job_start, storage
from halftone.config import Config, read_environment
from halftone.errors import InputError, RunError
from halftone.experiment import output_folder, spec, table
from halftone.experiment.datasets import DatasetCache
from halftone.experiment.outcomes import ExperimentResults, StageOutcomes
from halftone.experiment.places import ProcessLauncher, SparkLauncher, TrainingLauncher
from halftone.experiment.planning import RunPlanner, Trial
from halftone.experiment.run_job import StudyContext
from halftone.experiment.spec import ExperimentSpec
from halftone.experiment.stages import StageRunner, describe_failures
from halftone.lineage.job_run import report_job
from halftone.locking.output import hold_output
from halftone.spark.session import spark_session
from halftone.spark.settings import describe_spark
from halftone.tracking import tracking

SessionFactory = Callable[[], AbstractContextManager[SparkSession]]


def run_experiment(
    path: str,
    images: Optional[str] = None,
    output: Optional[str] = None,
    epochs: Optional[int] = None,
    subset: Optional[int] = None,
) -> None:
    """Run an experiment, print its table and write it to `output`.

    Args:
        path: Path or URL of the experiment file.
        images: Overrides base.paths.images of the file.
        output: A folder or a URL; default: out/experiments/ and the name of the experiment.
        epochs: Overrides the number of epochs of every run.
        subset: Maximum number of images of each run, equally many of each class.

    Raises:
        InputError: The file, the images or the content of `output` is invalid; nothing was run.
        LockHeldError: Another process runs this experiment.
        RunError: Runs failed; the message has the error and the log of each. The table shows the
            other runs.
        KeyboardInterrupt: a signal was received; the same call resumes the runs.
    """
    experiment = spec.load_spec(path)
    output = storage.normalise_url(output or f"out/experiments/{experiment.name}")
    overrides = {"paths.images": images, "train.epochs": epochs}
    planner = RunPlanner(
        experiment,
        path,
        {k: v for k, v in overrides.items() if v is not None},
        read_environment(),
    )
    planned = planner.plan_stages()
    job_start.apply_settings(planner.base.model_copy(update={"name": experiment.name}))
    flags = {"--epochs": epochs, "--subset": subset}
    shrunk = [f"{flag} {value:,}" for flag, value in flags.items() if value is not None]
    run_planned(experiment, planner, planned, output, subset, shrunk)


def run_planned(
    experiment: ExperimentSpec,
    planner: RunPlanner,
    planned: Mapping[str, Sequence[Trial]],
    output: str,
    subset: Optional[int] = None,
    shrunk: Sequence[str] = (),
) -> list[StageOutcomes]:
    """Run an experiment, print its table, write it to `output`, and return its outcomes.

    Args:
        experiment: The experiment.
        planner: Builds the configs of its runs.
        planned: What `planner.plan_stages` returned.
        output: URL of the folder of the experiment.
        subset: Maximum number of images of each run, equally many of each class.
        shrunk: The flags that made the experiment smaller, for the table.

    Raises:
        InputError: The images or the content of `output` is invalid.
        LockHeldError, RunError, KeyboardInterrupt: As `run_experiment`.
    """
    output_folder.check_output(output, experiment.name)
    urls = {"images": planner.base.paths.images} if planner.base.paths.images else {}
    with ExitStack() as stack:
        stack.enter_context(report_job(experiment.name, "experiment", urls, {"folder": output}))
        lock = stack.enter_context(hold_output(output, "experiment"))
        output_folder.claim_output(output, experiment.name)
        launcher, session_factory = _create_launcher(experiment, planner.base, output, stack)
        dataset_cache = DatasetCache(output, session_factory)
        context = StudyContext(
            output, experiment.score, launcher, dataset_cache.get, threading.Event()
        )
        runner = StageRunner(experiment, planner, context, dataset_cache, subset)
        runner.check_run_folders(planned)
        stage_outcomes: list[StageOutcomes] = []
        with tracking.track_study(
            planner.base.model_copy(update={"name": experiment.name}),
            _study_tags(experiment),
            output,
            (table.MARKDOWN, table.CSV, table.PAGE),
        ):
            for stage in experiment.all_stages():
                stage_outcomes.append(runner.run_stage(stage, stage_outcomes))
                lock.check()
                text = table.write_tables(
                    ExperimentResults(experiment, planner.base, stage_outcomes, output, shrunk)
                )
            print(text, flush=True)
            _check_no_failures(stage_outcomes)
    return stage_outcomes


def _create_launcher(
    experiment: ExperimentSpec, base: Config, output: str, stack: ExitStack
) -> tuple[TrainingLauncher, SessionFactory]:
    """Create the launcher of trainings and the factory of SparkSessions that make datasets.

    Args:
        experiment: The experiment.
        base: Settings shared by all runs.
        output: URL of the output of the experiment.
        stack: Ends the processes of the trainings, and their SparkSession if they run on Spark.
    """
    name = f"{experiment.name}: datasets"
    if experiment.on == "processes":
        # Stop Spark once the datasets are made, so that the trainings can use its memory.
        launcher = stack.enter_context(ProcessLauncher())
        return launcher, lambda: spark_session(name, base.spark)
    spark = stack.enter_context(spark_session(experiment.name, base.spark))
    spark_launcher = SparkLauncher(spark)
    if not spark_launcher.is_local:
        _check_shared_storage(base, output, describe_spark(spark))
    return spark_launcher, lambda: nullcontext(spark)


def _check_shared_storage(base: Config, output: str, cluster: str) -> None:
    """Raise InputError if trainings on other machines cannot access the output or MLflow."""
    if storage.is_local(output):
        raise InputError(
            f"{output}: is a local folder, but trainings run on the machines of the Spark cluster "
            f"{cluster}; use an --output that all machines can access, such as s3://bucket/out"
        )
    uri = tracking.store_uri(base.tracking)
    if base.tracking.enabled and uri.startswith(tracking.SQLITE_PREFIX):
        raise InputError(
            f"{uri}: is a local file, but trainings run on the machines of the Spark cluster "
            f"{cluster}; set base.tracking.uri to a server, or base.tracking.enabled: false"
        )


def _study_tags(experiment: ExperimentSpec) -> dict[str, str]:
    tags = {
        "about": experiment.about,
        "source": experiment.source,
        "stages": ", ".join(stage.name for stage in experiment.stages),
    }
    return {name: text for name, text in tags.items() if text}


def _check_no_failures(stage_outcomes: Sequence[StageOutcomes]) -> None:
    """Raise RunError if a run failed."""
    run_outcomes = [outcome for stage in stage_outcomes for outcome in stage.outcomes]
    failures = describe_failures(run_outcomes)
    if failures:
        summary = (
            f"{len(failures)} of {len(run_outcomes)} runs; correct what they say, then run the "
            "same command again: the others are kept"
        )
        raise RunError("\n".join([summary, *failures]))
