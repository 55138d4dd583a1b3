"""Run trainings of an experiment in a process of their own, one after the other.

    python -m halftone.experiment.trial

reads its jobs, one line of JSON each, from standard input. After each job that did not end the
process it prints a line: the job's `end_mark`, and as JSON the exit code and whether the process
can run another job. The line `null` ends the process; it exits immediately if standard input ends
without one.

Starting Python, TensorFlow and Spark takes far longer than a small training. Therefore a process
can run several jobs; TensorFlow's and Keras' state is reset before each.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any, Callable

from halftone import logs, printable
from halftone.dataset import splits
from halftone.errors import InputError, RunError, StoppedError
from halftone.system import cores, parent_watch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COMMAND = ("-X", "faulthandler", "-m", "halftone.experiment.trial")
MODEL, SCORES, RESULT = "model", "scores", "result.json"
STOPPED_CODE = 143
_END = "null\n"


def scores_folder(split: str) -> str:
    """Return the name of the folder with the scores of a split, beside the model."""
    return SCORES if split == splits.TEST else f"{SCORES}-{split}"


def encode_job(job: Mapping[str, Any]) -> bytes:
    """Encode a job as the process reads it."""
    return (json.dumps(job) + "\n").encode()


def encode_end() -> bytes:
    """Encode the line after which the process ends."""
    return _END.encode()


def main() -> int:
    job = json.loads(sys.stdin.readline())
    # Pin the process before importing modules that start threads.
    cores.pin_to_rank_cores(job["slot"], job["parallel"])
    lines = parent_watch.exit_on_stdin_end()
    logs.start_child()
    os.environ.update(job["environment"])
    code = 0
    with ExitStack() as stack:
        session = cache(lambda: _start_spark(job, stack))
        while job is not None:
            code = _run_job(job, session)
            _flush_output()
            end = json.dumps([code, _is_reusable(job, code)])
            os.write(sys.stdout.fileno(), f"{job['end_mark']} {end}\n".encode())
            job = json.loads(lines.get())
    return code


def _run_job(job: Mapping[str, Any], session: Callable[[], SparkSession]) -> int:
    try:
        _run_training(job, session)
    except StoppedError as error:
        return _report_error(error, STOPPED_CODE)
    except (InputError, RunError, OSError) as error:
        return _report_error(error, 1)
    return 0


def _is_reusable(job: Mapping[str, Any], code: int) -> bool:
    """Return whether this process is as good as a new one after a job."""
    if code not in (0, STOPPED_CODE):
        return False
    # TensorFlow frees no memory of a GPU, and other runs may need it.
    return job["parallel"] == 1 or not _uses_gpu()


def _uses_gpu() -> bool:
    from halftone.training import determinism

    return determinism.uses_gpu()


def _start_spark(job: Mapping[str, Any], stack: ExitStack) -> SparkSession:
    """Start the session of all jobs of this process; `stack` stops it."""
    from halftone import config
    from halftone.spark.session import spark_session

    settings = config.config_from_mapping(job["config"], source="the experiment's config")
    return stack.enter_context(spark_session(f"experiment: {settings.name}", settings.spark))


def _flush_output() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _report_error(error: Exception, code: int) -> int:
    printable.print_line(" ".join(str(error).split()) or type(error).__name__)
    return code


def _exit_after_loss(error: Exception) -> None:
    os._exit(_report_error(error, 1))


def _run_training(job: Mapping[str, Any], session: Callable[[], SparkSession]) -> None:
    from halftone import config, storage, summary
    from halftone.dataset import manifest
    from halftone.experiment import results
    from halftone.launch import rank
    from halftone.launch.train import train_model
    from halftone.locking import output
    from halftone.model_directory import HISTORY
    from halftone.scoring.score_dataset import score_dataset
    from halftone.storage import clients

    started = time.monotonic()
    rank.set_default_environment()
    settings = config.config_from_mapping(job["config"], source="the experiment's config")
    _reset_tensorflow(settings.seed)
    logs.set_run(settings.name)
    clients.set_options(settings.storage.options)
    model = storage.join(job["folder"], MODEL)
    scores_by_split = {}
    with output.handle_loss(_exit_after_loss):
        card = train_model(settings, job["dataset"], model, session)
        print(summary.format_model_summary(card, model), flush=True)
        data = manifest.read_manifest(job["dataset"])
        for split in job["score"]:
            if not data.totals(split).shards:
                continue
            score_settings = settings.score.model_copy(update={"split": split})
            split_settings = settings.model_copy(update={"score": score_settings})
            scores = storage.join(job["folder"], scores_folder(split))
            metrics = score_dataset(split_settings, job["dataset"], model, scores, session)
            print(summary.format_scores_summary(metrics, scores), flush=True)
            scores_by_split[split] = results.summarise_scores(metrics)
    history = storage.read_json(storage.join(model, HISTORY))["epochs"]
    result = {
        "identity": job["identity"],
        "state": "finished",
        "parameters": _count_parameters(card),
        **results.summarise_history(history, card.best_epoch),
        **scores_by_split,
        "secs": round(time.monotonic() - started, 3),
    }
    storage.write_json(storage.join(job["folder"], RESULT), result)


def _reset_tensorflow(seed: int) -> None:
    """Free what earlier trainings of this process have left, so that the next one is as new."""
    from halftone.feed.world import World
    from halftone.training import determinism

    # A finished training only counts its parameters; the next one needs these settings all the
    # same, and TensorFlow takes them only before it computes something.
    determinism.configure_process(World(), seed, "float32")
    determinism.forget_models()


def _count_parameters(card: Any) -> int:
    from halftone import models

    settings = card.config.train
    # The normalisation of pixels has no parameters, so any kind gives the same count.
    network = models.build_model(
        settings.model.model_dump(),
        card.shape(),
        len(card.labels),
        "0..1",
        input_size=settings.input_size(card.shape()),
    )
    return int(network.count_params())


if __name__ == "__main__":
    sys.exit(main())
