"""One run of an experiment, as a process of its own: TensorFlow's settings are a process's.

    python -m halftone.experiment.trial

reads its job, one line of JSON, from its standard input, and ends when that does.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from halftone import cores, lifeline
from halftone.errors import InputError, RunError, StoppedError

COMMAND = ("-X", "faulthandler", "-m", "halftone.experiment.trial")
MODEL, SCORES, RESULT = "model", "scores", "result.json"


def main() -> int:
    job = json.loads(sys.stdin.readline())
    # Before anything is imported that starts threads.
    cores.keep_to_share(job["slot"], job["parallel"])
    lifeline.end_with_input()
    try:
        _work(job)
    except StoppedError as error:
        return _end(error, 143)
    except (InputError, RunError, OSError) as error:
        return _end(error, 1)
    return 0


def _end(error: Exception, code: int) -> int:
    print(" ".join(str(error).split()) or type(error).__name__, flush=True)
    return code


def _work(job: Mapping[str, Any]) -> None:
    from halftone import config, launch, rank, scoring, storage, summary
    from halftone.model_directory import HISTORY
    from halftone.session import spark_session

    rank.guard()
    settings = config.from_mapping(job["config"], source="the experiment's config")
    model, scores = (storage.join(job["folder"], name) for name in (MODEL, SCORES))
    with ExitStack() as stack:
        session = partial(
            stack.enter_context, spark_session(f"experiment: {settings.name}", settings.spark)
        )
        card = launch.train(settings, job["dataset"], model, session)
        print(summary.of_model(card, model), flush=True)
        scored = scoring.score(settings, job["dataset"], model, scores, session)
    print(summary.of_scores(scored, scores), flush=True)
    history = storage.read_json(storage.join(model, HISTORY))["epochs"]
    best = next(entry for entry in history if entry["epoch"] == card.best_epoch)
    result = {
        "identity": job["identity"],
        "parameters": _num_parameters(card),
        "epochs": len(history),
        "best_epoch": card.best_epoch,
        "train": {"accuracy": best["accuracy"], "loss": best["loss"]},
        "validation": {name: best.get(f"val_{name}") for name in ("accuracy", "loss")},
        "test": {name: scored[name] for name in ("accuracy", "loss")},
        # Of all its epochs, also of those that an earlier process did.
        "train_secs": round(sum(entry["secs"] for entry in history), 3),
        "images_per_sec": statistics.median(entry["images_per_sec"] for entry in history),
    }
    storage.write_json(storage.join(job["folder"], RESULT), result)


def _num_parameters(card: Any) -> int:
    from halftone import models

    settings = card.config.train
    # How pixels are normalised has no parameters.
    network = models.build(settings.model.model_dump(), card.shape(), len(card.labels), "0..1")
    return int(network.count_params())


def command() -> list[str]:
    return [sys.executable, *COMMAND]


def environment() -> dict[str, str]:
    """This process's, but for the Spark that spark-submit gave it: a trial has its own."""
    return {name: value for name, value in os.environ.items() if "PYSPARK_GATEWAY" not in name}


if __name__ == "__main__":
    sys.exit(main())
