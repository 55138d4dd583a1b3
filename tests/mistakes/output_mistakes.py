"""Outputs that a job cannot write, or that hold something else."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from halftone.locking import lock
from mistakes.mistake import Mistake, write

FILE = write("notes.txt", "not a folder")
IS_A_FILE = (
    "error: {site}/notes.txt: cannot be written: it, or a part of its path, is a file; give "
    "another path"
)
FILE_MEANING = "Every output is a folder. The path is that of a file, or leads through one."
FILE_CURE = "Give a folder as the output; it is created if it does not exist."
NEW_OUTPUT = "Give another output, or remove that folder if you do not need it."


def hold_dataset(site: Path, stack: ExitStack) -> None:
    stack.enter_context(lock.hold_lock(f"{site}/dataset", "preprocess", 600.0, print))


MISTAKES = (
    Mistake(
        "preprocess into a file",
        ("preprocess", "--output", "{site}/notes.txt"),
        IS_A_FILE,
        FILE_MEANING,
        FILE_CURE,
        prepare=FILE,
    ),
    Mistake(
        "train into a file",
        ("train", "--output", "{site}/notes.txt"),
        IS_A_FILE,
        FILE_MEANING,
        FILE_CURE,
        prepare=FILE,
    ),
    Mistake(
        "score into a file",
        ("score", "--output", "{site}/notes.txt"),
        IS_A_FILE,
        FILE_MEANING,
        FILE_CURE,
        prepare=FILE,
    ),
    Mistake(
        "an experiment into a file",
        ("experiment", "--output", "{site}/notes.txt"),
        IS_A_FILE,
        FILE_MEANING,
        FILE_CURE,
        prepare=FILE,
    ),
    Mistake(
        "export into a file",
        ("export", "--format", "onnx", "--output", "{site}/notes.txt"),
        IS_A_FILE,
        FILE_MEANING,
        FILE_CURE,
        prepare=FILE,
    ),
    Mistake(
        "label errors into a file",
        ("label-errors", "--output", "{site}/notes.txt"),
        IS_A_FILE,
        FILE_MEANING,
        FILE_CURE,
        prepare=FILE,
    ),
    Mistake(
        "a folder of retraining that is a file",
        ("retrain", "--set", "retrain.folder={site}/notes.txt"),
        IS_A_FILE,
        FILE_MEANING,
        "Set retrain.folder to a folder; it is created if it does not exist.",
        prepare=FILE,
    ),
    Mistake(
        "an output where nobody may write",
        ("train", "--output", "/proc/model"),
        "error: /proc/model: cannot be written: No such file or directory; correct the "
        "permissions, make room, or give another path",
        "A probe file could not be written there. The text in the middle is that of the operating "
        "system: a permission is missing, the disk is full, or it is mounted for reading only.",
        "Correct the permissions of the folder, free some space, or give another output.",
    ),
    Mistake(
        "preprocess into the folder of images",
        ("preprocess", "--output", "{site}/images"),
        "error: {site}/images: exists and is not a dataset (it holds cat, dog and no "
        "manifest.json); give another --output",
        "The folder has files that are not those of a dataset. They are left alone.",
        NEW_OUTPUT,
    ),
    Mistake(
        "train into the folder of the dataset",
        ("train", "--output", "{site}/dataset"),
        "error: {site}/dataset: exists and is not a model (it holds _versions, manifest.json, "
        "test, ...); give another --output",
        "The folder has files that are not those of a model. They are left alone.",
        NEW_OUTPUT,
    ),
    Mistake(
        "score into the folder of the model",
        ("score", "--output", "{site}/model"),
        "error: {site}/model: exists and holds no scores (it holds history.json, model.json, "
        "network-v1.keras); give another --output",
        "The folder has files that are not those of scores. They are left alone.",
        NEW_OUTPUT,
    ),
    Mistake(
        "another size of the images for a dataset that exists",
        ("preprocess", "--set", "pixels.height_px=64"),
        "error: {site}/dataset: the dataset was made with other settings and is left unchanged: "
        "pixels.height_px was 8, is now 64. Give another --output, or remove the old dataset",
        "All rows of a dataset have the same pixels, seed and splits, so it cannot grow by rows of "
        "other settings.",
        NEW_OUTPUT,
    ),
    Mistake(
        "two jobs that write to one folder",
        ("preprocess",),
        "busy: {site}/dataset: is in use by process {pid} on {host} (preprocess job) since {time} "
        "UTC, with a heartbeat {secs} s ago; wait until it has ended, end it, or use another "
        "folder",
        "Another job holds the lock of the output. It is alive: its heartbeat is seconds old.",
        "Wait for the other job. If it was killed on another machine, its lock is free two minutes "
        "after its last heartbeat.",
        code=75,
        prepare=hold_dataset,
    ),
)
