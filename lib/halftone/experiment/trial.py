"""Run one training of an experiment in its own process, as TensorFlow's settings are global.

    python -m halftone.experiment.trial

reads its job, one line of JSON, from standard input and exits when standard input is closed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

from halftone import logs, printable
from halftone.dataset import splits
from halftone.errors import InputError, RunError, StoppedError
from halftone.system import cores, parent_watch

COMMAND = ("-X", "faulthandler", "-m", "halftone.experiment.trial")
MODEL, SCORES, RESULT = "model", "scores", "result.json"


def scores_folder(split: str) -> str:
    """Return the name of the folder with the scores of a split, beside the model."""
    return SCORES if split == splits.TEST else f"{SCORES}-{split}"


def main() -> int:
    job = json.loads(sys.stdin.readline())
    # Pin the process before importing modules that start threads.
    cores.pin_to_rank_cores(job["slot"], job["parallel"])
    parent_watch.exit_on_stdin_end()
    logs.start_child()
    os.environ.update(job["environment"])
    try:
        _run_training(job)
    except StoppedError as error:
        return _report_error(error, 143)
    except (InputError, RunError, OSError) as error:
        return _report_error(error, 1)
    return 0


def _report_error(error: Exception, code: int) -> int:
    printable.print_line(" ".join(str(error).split()) or type(error).__name__)
    return code


def _run_training(job: Mapping[str, Any]) -> None:
    from halftone import config, storage, summary
    from halftone.dataset import manifest
    from halftone.experiment import results
    from halftone.launch import rank
    from halftone.launch.train import train_model
    from halftone.locking import output
    from halftone.model_directory import HISTORY
    from halftone.scoring.score_dataset import score_dataset
    from halftone.spark.session import spark_session
    from halftone.storage import clients

    started = time.monotonic()
    rank.set_default_environment()
    settings = config.config_from_mapping(job["config"], source="the experiment's config")
    logs.set_run(settings.name)
    clients.set_options(settings.storage.options)
    model = storage.join(job["folder"], MODEL)
    scores_by_split = {}
    with ExitStack() as stack:
        stack.enter_context(output.handle_loss(lambda error: os._exit(_report_error(error, 1))))
        name = f"experiment: {settings.name}"
        session = cache(lambda: stack.enter_context(spark_session(name, settings.spark)))
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
