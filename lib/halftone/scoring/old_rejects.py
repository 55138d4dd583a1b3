"""Moves the rejects of an older Halftone, which wrote them beside the predictions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from halftone import storage
from halftone.metrics.model import ImageScores
from halftone.progress import log_notes
from halftone.scoring.scores_directory import METRICS
from halftone.scoring.scores_tables import PREDICTIONS, REJECTS

_THREADS = 8


def move_old_rejects(output: str, scores: ImageScores) -> ImageScores:
    """Move rejects in the folder of predictions to their own folder; return the scores with it.

    The caller holds the lock of `output`, and publishes the table of rejects. A call that is killed
    loses nothing: metrics.json names the new files once all are copied, and the old ones are
    removed last.

    Args:
        output: URL of the scores directory.
        scores: those of metrics.json; returned as they are unless they name such files.
    """
    old = [path for path in scores.rejects_files if path.startswith(PREDICTIONS)]
    if not old:
        return scores
    log_notes([f"{output}: {len(old)} files of rejects are moved to the folder {REJECTS}"])
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda path: _copy(output, path), old))
    files = [
        _new_path(path) if path.startswith(PREDICTIONS) else path for path in scores.rejects_files
    ]
    moved = scores.model_copy(update={"rejects_files": files})
    storage.write_json(storage.join(output, METRICS), moved.to_json())
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda path: storage.remove(storage.join(output, path)), old))
    return moved


def _new_path(path: str) -> str:
    _, run, name = path.split("/")
    return storage.join(REJECTS, run, name)


def _copy(output: str, path: str) -> None:
    """Copy a file; one that is missing stays missing, and its images are scored again."""
    source = storage.join(output, path)
    if storage.exists(source):
        storage.write_bytes(storage.join(output, _new_path(path)), storage.read_bytes(source))
