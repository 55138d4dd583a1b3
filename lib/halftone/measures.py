"""What a job measures while it runs: numbers with names and labels, for monitoring.

Any module sets them; they cost next to nothing. `halftone.monitoring` sends them, if the config or
the environment says where to. The names follow Prometheus' conventions: seconds since 1970 end in
_timestamp_seconds, and what only grows while a job runs in _total.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Callable, NamedTuple

COUNTER, GAUGE = "counter", "gauge"


class JobMeasure(NamedTuple):
    """A number that is measured, once for each set of labels."""

    name: str
    kind: str  # COUNTER or GAUGE
    text: str
    labels: tuple[str, ...] = ()


class MeasuredValue(NamedTuple):
    """A value of a measure."""

    measure: JobMeasure
    labels: tuple[str, ...]  # values, in the order of the measure's names
    value: float


JOB_START = JobMeasure("halftone_job_start_timestamp_seconds", GAUGE, "When the job began.")
JOB_END = JobMeasure("halftone_job_end_timestamp_seconds", GAUGE, "When the job ended.")
JOB_EXIT_CODE = JobMeasure("halftone_job_exit_code", GAUGE, "Exit code of the job; 0 is success.")

IMAGES_READ = JobMeasure(
    "halftone_images_read_total", COUNTER, "Images that a stage has read in this run.", ("stage",)
)
IMAGE_BYTES_READ = JobMeasure(
    "halftone_image_read_bytes_total", COUNTER, "Size of the raw images that were decoded."
)
DATASET_ROWS = JobMeasure("halftone_dataset_rows", GAUGE, "Rows of the dataset.", ("split",))
DATASET_REJECTS = JobMeasure(
    "halftone_dataset_rejects", GAUGE, "Images that are rejected, by reason.", ("reason",)
)
DATASET_DUPLICATES = JobMeasure(
    "halftone_dataset_duplicates", GAUGE, "Images with the same content as another one."
)
DATASET_BYTES = JobMeasure("halftone_dataset_size_bytes", GAUGE, "Size of the dataset's shards.")
DATASET_VERSION = JobMeasure("halftone_dataset_version", GAUGE, "Version of the dataset.")

EPOCHS = JobMeasure("halftone_train_epochs", GAUGE, "Epochs of the training that are finished.")
LOSS = JobMeasure("halftone_train_loss", GAUGE, "Mean cross-entropy of the last epoch.", ("split",))
ACCURACY = JobMeasure("halftone_train_accuracy", GAUGE, "Accuracy of the last epoch.", ("split",))
IMAGES_PER_SECOND = JobMeasure(
    "halftone_train_images_per_second", GAUGE, "Training images per second in the last epoch."
)
RANK_RESTARTS = JobMeasure(
    "halftone_train_restarts_total", COUNTER, "Restarts of the training after a rank was lost."
)

SCORED_ROWS = JobMeasure("halftone_scores_rows", GAUGE, "Images that have a prediction.")
SCORED_REJECTS = JobMeasure("halftone_scores_rejects", GAUGE, "Images that could not be scored.")
SCORES_ACCURACY = JobMeasure("halftone_scores_accuracy", GAUGE, "Accuracy of the predictions.")
SCORES_LOSS = JobMeasure("halftone_scores_loss", GAUGE, "Mean cross-entropy of the predictions.")

RETRAIN_LAST_SUCCESS = JobMeasure(
    "halftone_retrain_last_success_timestamp_seconds",
    GAUGE,
    "When the last run of retraining ended that did not fail, whatever it decided.",
)
RETRAIN_LAST_RUN = JobMeasure(
    "halftone_retrain_last_run_timestamp_seconds",
    GAUGE,
    "When the last run of retraining with this outcome ended.",
    ("outcome",),
)
RETRAIN_CHAMPION = JobMeasure(
    "halftone_retrain_champion_version", GAUGE, "Version of the registered model that is champion."
)

_lock = threading.Lock()
_values: dict[tuple[JobMeasure, tuple[str, ...]], float] = {}
# Called before the values are sent.
_updates: list[Callable[[], None]] = []
_is_sent = False


def set_value(measure: JobMeasure, value: float, *labels: str) -> None:
    """Set the value of a measure.

    Args:
        labels: values of its labels, in the order of their names.
    """
    assert len(labels) == len(measure.labels), (measure, labels)
    with _lock:
        _values[measure, labels] = float(value)


@contextmanager
def updating(update: Callable[[], None]) -> Iterator[None]:
    """Let `update` set values while the body runs, each time they are sent, and at its end.

    Args:
        update: is called by another thread; its errors are ignored.
    """
    _updates.append(update)
    try:
        yield
    finally:
        _updates.remove(update)
        _try(update)


def is_sent() -> bool:
    """Return whether somebody sends the values, so that it is worth an effort to get them."""
    return _is_sent


def set_sent() -> None:
    """Declare that the values are sent."""
    global _is_sent
    _is_sent = True


def collect() -> list[MeasuredValue]:
    """Return all values that were set, up to date."""
    for update in list(_updates):
        _try(update)
    with _lock:
        return [MeasuredValue(*key, value) for key, value in _values.items()]


def clear() -> None:
    """Forget all values."""
    with _lock:
        _values.clear()


def _try(update: Callable[[], None]) -> None:
    with suppress(Exception):  # such as a store that cannot be reached; the job will find out
        update()
