"""The sections on the run and the data."""

from __future__ import annotations

from typing import Any

from halftone.config import Config
from halftone.dataset.manifest import Manifest
from halftone.model_directory import Restart
from halftone.report import run
from report_pages import FACES, a_card, a_history, a_manifest, a_page, read


def settings(**changes: Any) -> list[list[str]]:
    page = read(FACES, card=a_card(FACES, config=Config.model_validate(changes)))
    start = page.rows.index(["Setting", "Value", "Default"])
    return page.rows[start + 1 :]


def test_settings_that_differ_from_the_defaults() -> None:
    changed = {"seed": 7, "train": {"epochs": 3, "model": {"name": "convnet", "filters": (8, 16)}}}
    assert settings(**changed) == [
        ["seed", "7", "0"],
        ["train.model.filters", "[8, 16]", "[32, 32]"],
        ["train.epochs", "3", "10"],
    ]


def test_another_family_is_held_against_its_own_defaults() -> None:
    assert settings(train={"model": {"name": "mlp", "dropout": 0.5}}) == [
        ["train.model.name", "mlp", "convnet"],
        ["train.model.dropout", "0.5", "0.0"],
    ]


def test_settings_without_a_default() -> None:
    model = {"name": "custom", "build": "mine:network", "args": {"width": 3}, "output": "logits"}
    assert settings(train={"model": model}) == [
        ["train.model.name", "custom", "convnet"],
        ["train.model.build", "mine:network", "null"],
        ["train.model.args.width", "3", "null"],
        ["train.model.output", "logits", "probabilities"],
    ]


def test_paths_and_spark_settings_stay_out() -> None:
    assert "All settings are the defaults." in a_page(FACES)
    secret = {"paths": {"model": "/hidden"}, "spark": {"conf": {"spark.x.secret": "hidden"}}}
    page = a_page(FACES, card=a_card(FACES, config=Config.model_validate(secret)))
    assert "hidden" not in page
    assert "All settings are the defaults." in page


def test_what_was_run() -> None:
    words = read(FACES, history=a_history(20)).words()
    assert "Trained2024-05-04 10:20 UTC, in 1 min 10 s on 1 rank" in words
    assert "20, of which epoch 3 was chosen" in words
    assert "1,520 images/s (median epoch)" in words
    assert "2024-05-04 11:00 UTC, in 12.3 s" in words
    assert "Machine" not in words
    assert "Restarts" not in words


def test_the_machine() -> None:
    facts = {
        "cores": 2,
        "memory_bytes": 25_000_000_000,
        "versions": {"python": "3.11.2", "tensorflow": "2.15.1", "pyspark": "3.5.9", "numpy": "1"},
        "system": "Linux x86_64",
    }
    text = (
        "2 cores, 23.3 GiB of memory, Python 3.11.2, TensorFlow 2.15.1, Spark 3.5.9, numpy 1, "
        "system Linux x86_64"
    )
    assert run.describe_machine(facts) == text
    assert run.describe_machine({"cores": 1}) == "1 core"
    assert run.describe_machine(None) == ""
    assert f"Machine{text}" in read(FACES, machine=facts).words()


def test_restarts() -> None:
    lost = [
        Restart(epoch=0, message="rank 1 ended with SIGKILL"),
        Restart(epoch=4, message="rank 0 was silent for 60 s"),
    ]
    page = read(FACES, card=a_card(FACES, restarts=lost))
    assert ["none: from the start", "rank 1 ended with SIGKILL"] in page.rows
    assert ["4", "rank 0 was silent for 60 s"] in page.rows
    assert "Restarts2" in page.words()


# --- the data -------------------------------------------------------------------------------------


def manifest(**changes: Any) -> Manifest:
    return a_manifest(
        FACES,
        inputs=4210,
        rejects=6,
        duplicates=4,
        rejects_by_reason={"damaged": 1, "truncated": 5},
        ignored={".txt": 12, ".<b>": 1, "": 2},
        **changes,
    )


def test_the_data() -> None:
    page = read(FACES, manifest=manifest())
    assert "4,210 images = 4,200 rows + 6 rejects + 4 duplicates." in page.words()
    assert ["comics", "1,800", "100", "200", "2,100"] in page.rows
    assert ["All", "3,600", "200", "400", "4,200"] in page.rows
    # The most frequent first.
    assert page.rows.index(["truncated", "5"]) < page.rows.index(["damaged", "1"])
    assert "12 .txt, 2 without one, 1 .<b>." in page.words()


def test_absent_parts_of_the_data_are_not_mentioned() -> None:
    words = read(FACES).words()
    for absent in ("Rejected images", "Ignored", "looked nearly the same", "no longer exist"):
        assert absent not in words


def test_near_duplicates_and_missing_files() -> None:
    words = read(FACES, manifest=manifest(near_duplicates=3, gone=1)).words()
    assert (
        "3 images looked nearly the same as one of an earlier split, and are among the rows: "
        "numbers may flatter the model."
    ) in words
    assert "The files of 1 image no longer exist; their rows and rejects are kept." in words
    dropping = Config.model_validate({"preprocess": {"near_duplicates": "drop"}}).preprocess
    words = read(FACES, manifest=manifest(near_duplicates=1, preprocess=dropping)).words()
    assert "1 image looked nearly the same as one of an earlier split, and were left out." in words
