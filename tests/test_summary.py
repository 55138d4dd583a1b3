from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from example_card import card
from example_manifest import example
from halftone import storage, summary
from halftone.config import Config, PreprocessSettings
from halftone.metrics.model import ImageScores, Metrics, SliceScores, SplitScores
from halftone.metrics.slices import SliceCounts, build_column
from halftone.model_directory import ModelInfo, Restart
from report_pages import some_slices


def test_a_table_is_laid_out() -> None:
    rows = [["train", "1,200"], ["x", "7"]]
    assert summary.format_table(["split", "rows"], rows) == (
        "split   rows\n"
        "-----  -----\n"
        "train  1,200\n"
        "x          7"
    )  # fmt: skip


def test_a_dataset(tmp_path: Path) -> None:
    text = summary.format_dataset_summary(example(), "/data", num_changed=4)
    assert text.splitlines() == [
        "split  cat  dog  rows",
        "-----  ---  ---  ----",
        "train    1    1     2",
        "test     1    0     1",
        "",
        "splits: by a hash of the path",
        "4 images = 3 rows + 1 rejects + 0 duplicates",
        "rejects: 1 empty; listed in rejects/a.parquet",
        "classes with no test rows, so they are not measured: dog",
        "ignored, because their names are not those of images (preprocess.suffixes): 1 .md",
        "read in this run: 4",
        "contact sheet: /data/contact_sheets/a.png",
        "version 1, fingerprint f",
        "dataset: /data",
    ]


def test_a_dataset_with_moved_rows_and_a_class_without_rows() -> None:
    counts = {"train": {"cat": 3, "dog": 0}, "test": {"cat": 1, "dog": 0}}
    update = {"counts": counts, "moved": 3, "ungrouped": 2, "gone": 1}
    data = example().model_copy(update=update)
    lines = summary.format_dataset_summary(data, "/data", num_changed=4).splitlines()
    assert lines[8:14] == [
        "classes with no rows at all, which --prune removes: dog",
        "ignored, because their names are not those of images (preprocess.suffixes): 1 .md",
        "1 of them no longer exist, and are kept; --prune removes them",
        "2 images have no group, and are assigned to splits by themselves",
        "read in this run: 1",
        "moved to another label or split in this run: 3",
    ]


def test_a_dataset_of_many_classes() -> None:
    labels = [f"c{number:03}" for number in range(1000)]
    counts = {
        "train": {label: 2000 - number for number, label in enumerate(labels)},
        "test": dict.fromkeys(labels, 1),
    }
    many = example().model_copy(update={"labels": labels, "counts": counts})
    lines = summary.format_dataset_summary(many, "/data", num_changed=4).splitlines()
    assert lines[:3] == [
        "class      train   test       rows",
        "-----  ---------  -----  ---------",
        "c000       2,000      1      2,001",
    ]
    assert [line[:4] for line in lines[2:22]] == labels[:10] + labels[-10:]
    assert lines[22:24] == [
        "all    1,500,500  1,000  1,501,500",
        "the 10 largest and smallest of 1,000 classes; all are in /data/manifest.json",
    ]


def test_near_duplicates_and_possible_label_errors() -> None:
    changes = {
        "near_duplicates": 5,
        "near_duplicates_files": ["near_duplicates/a.parquet"],
        "possible_label_errors": 2,
        "chance_near_fraction": 0.197,
        "preprocess": PreprocessSettings(near_duplicates="drop"),
    }
    text = summary.format_dataset_summary(example().model_copy(update=changes), "/data", 4)
    assert text.splitlines()[8:11] == [
        "5 near duplicates of images of an earlier split, 3 dropped; listed in "
        "near_duplicates/a.parquet",
        "possible label errors: 2 of the near duplicates look like an image of another label; "
        "they are kept",
        "the perceptual hash does not tell these images apart, so near duplicates may be none: "
        "19.7% of random pairs of rows with different labels are within preprocess.near_distance "
        "4; 0.1% is the limit",
    ]


def test_a_dataset_in_which_nothing_is_new() -> None:
    text = summary.format_dataset_summary(example(), "/data", num_changed=0)
    assert "nothing new: no image was added or changed since the last run" in text.splitlines()


def format_model(root: Path, history: list[dict[str, Any]], model_info: ModelInfo) -> list[str]:
    storage.write_json(str(root / "history.json"), {"best_epoch": 1, "epochs": history})
    return (
        summary.format_model_summary(model_info, str(root)).replace(str(root), "ROOT").splitlines()
    )


def epoch(number: int, **more: Any) -> dict[str, Any]:
    return {"epoch": number, "loss": 0.5, **more, "secs": 2.0, "images_per_sec": 1234.5}


def test_a_model(tmp_path: Path) -> None:
    history = [epoch(1, val_loss=0.25), epoch(2, val_loss=1 / 3)]
    lines = [
        "epoch    loss  val_loss  images/s",
        "-----  ------  --------  --------",
        "1 *    0.5000    0.2500     1,234",
        "2      0.5000    0.3333     1,234",
        "",
        "* the best epoch, kept as version v",
        "curves: ROOT/curves.png",
        "model: ROOT",
    ]
    assert format_model(tmp_path, history, card()) == lines
    # Of more epochs, the best and the last: the others have been printed before.
    history = [epoch(1, val_loss=0.25), epoch(2, val_loss=0.5), epoch(3, val_loss=1 / 3)]
    lines[3] = lines[3].replace("2 ", "3 ")
    lines.insert(6, "all 3 epochs: ROOT/history.json")
    assert format_model(tmp_path, history, card()) == lines


@pytest.mark.parametrize(
    ("train", "counts", "line"),
    [
        (
            {"freeze": "all"},
            (18, 18),
            "layers were frozen (train.freeze all): 18 parameters were trained",
        ),
        (
            {"freeze": 2, "unfreeze_after_epochs": 1, "unfreeze_learning_rate": 1e-5},
            (1018, 23456),
            "layers were frozen (train.freeze 2): 1,018 parameters were trained, and from epoch 2 "
            "on 23,456",
        ),
    ],
)
def test_a_model_with_frozen_layers(
    tmp_path: Path, train: dict[str, Any], counts: tuple[int, int], line: str
) -> None:
    history = [epoch(number, trainable_parameters=count) for number, count in enumerate(counts, 1)]
    config = Config.model_validate({"train": {"start_from": "/m", **train}})
    info = card().model_copy(update={"config": config})
    lines = format_model(tmp_path, history, info)
    assert lines[0].split() == ["epoch", "loss", "trained", "images/s"]
    assert lines[3].split() == ["2", "0.5000", f"{counts[1]:,}", "1,234"]
    assert lines[5:7] == ["* the best epoch, kept as version v", line]


def test_the_table_has_the_values_that_every_epoch_has_as_numbers(tmp_path: Path) -> None:
    history = [
        epoch(1, only_now=1.0, learning_rate=0.00123, gpus={"0": 0.5}, note="x", whole=True),
        epoch(2, learning_rate=0.001, gpus={"0": 0.5}, note="x", whole=True),
    ]
    assert format_model(tmp_path, history, card())[:4] == [
        "epoch    loss  learning rate  images/s",
        "-----  ------  -------------  --------",
        "1 *    0.5000         0.0012     1,234",
        "2      0.5000          0.001     1,234",
    ]


def test_a_metric_that_is_not_finite_is_named(tmp_path: Path) -> None:
    history = [epoch(1, val_loss=0.25), epoch(2, val_loss=None)]
    assert format_model(tmp_path, history, card())[:4] == [
        "epoch    loss    val_loss  images/s",
        "-----  ------  ----------  --------",
        "1 *    0.5000      0.2500     1,234",
        "2      0.5000  not finite     1,234",
    ]


def test_restarts_are_listed(tmp_path: Path) -> None:
    once = card(restarts=[Restart(epoch=3, message="rank 1 was killed (signal 9)")])
    twice = card(restarts=[Restart(epoch=0, message="rank 0 was lost"), *once.restarts])
    assert format_model(tmp_path, [epoch(1)], once)[4:6] == [
        "* the best epoch, kept as version v",
        "restarted 1 time: after epoch 3: rank 1 was killed (signal 9)",
    ]
    assert format_model(tmp_path, [epoch(1)], twice)[5] == (
        "restarted 2 times: before the first checkpoint: rank 0 was lost; "
        "after epoch 3: rank 1 was killed (signal 9)"
    )


def metrics_of(**changes: Any) -> dict[str, Any]:
    ratios = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3}
    counts = {
        "cat": {"support": 200, "predicted": 100},
        "dog": {"support": 1000, "predicted": 1100},
    }
    return {
        **ratios,
        "accuracy": 0.75,
        "loss": 0.5,
        "rows": 1200,
        "average": "class dog",
        "labels": ["cat", "dog"],
        "confusion": [[50, 150], [50, 950]],
        "per_class": {label: {**ratios, **count} for label, count in counts.items()},
        **changes,
    }


PROVENANCE: dict[str, Any] = {"run": "r", "model_version": "v", "scored_at": "today", "secs": 1.0}


def test_scores() -> None:
    scores = SplitScores(
        **metrics_of(), **PROVENANCE, split="test", fingerprint="f", predictions=[]
    )
    assert summary.format_scores_summary(scores, "/scores").splitlines() == [
        "class  precision  recall      f1   rows",
        "-----  ---------  ------  ------  -----",
        "cat       0.5000  0.2500  0.3333    200",
        "dog       0.5000  0.2500  0.3333  1,000",
        "",
        "test: 1,200 rows  accuracy 0.7500  precision 0.5000  recall 0.2500  f1 0.3333  "
        "loss 0.5000",
        "precision, recall and f1: class dog",
        "report: /scores/report.html",
        "scores: /scores",
    ]


def test_the_worst_slices_of_each_column() -> None:
    scores = SplitScores(
        **metrics_of(), **PROVENANCE, split="test", fingerprint="f", predictions=[]
    )
    scores = scores.model_copy(update={"slices": some_slices(["cat", "dog"], 12)})
    lines = summary.format_scores_summary(scores, "/scores").splitlines()[6:]
    assert lines == [
        "precision, recall and f1: class dog",
        "",
        "worst slices  accuracy      95% interval      f1  rows",
        "------------  --------  ----------------  ------  ----",
        "camera: v0      0.1000  0.0552 to 0.1744  0.2500   100",
        "camera: v1      0.1100  0.0625 to 0.1863  0.2500   100",
        "camera: v2      0.1200  0.0700 to 0.1981  0.2500   100",
        "slices: 13 by camera; all are in /scores/metrics.json",
        "",
        "report: /scores/report.html",
        "scores: /scores",
    ]


def test_values_that_are_counted_together_are_told() -> None:
    counts = [
        SliceCounts("value", "a", 9, 8, 0.5, "cat", 0.5, 4),
        SliceCounts("other values", None, 7, 6, 0.5, "cat", 0.5, 4),
    ]
    columns = [build_column("id", counts, 1503)]
    scores = SplitScores(
        **metrics_of(), **PROVENANCE, split="test", fingerprint="f", predictions=[]
    ).model_copy(
        update={"slices": SliceScores(catalogue="c", digest="d", rows=16, columns=columns)}
    )
    lines = summary.format_scores_summary(scores, "/scores").splitlines()
    assert "slices: 2 by id (one is of 503 other values); all are in /scores/metrics.json" in lines


def test_scores_of_drawn_images_say_so() -> None:
    scores = SplitScores(
        **{**metrics_of(), **PROVENANCE, "images_description": "synthetic: drawn"},
        split="test",
        fingerprint="f",
        predictions=[],
    )
    lines = summary.format_scores_summary(scores, "/scores").splitlines()
    assert lines[5].startswith("test: 1,200 rows  accuracy 0.7500")
    assert lines[6] == "the images are synthetic: drawn"
    drawn = example().model_copy(update={"images_description": "synthetic: drawn"})
    assert "the images are synthetic: drawn" in summary.format_dataset_summary(
        drawn, "/data", num_changed=0
    )


@pytest.mark.parametrize(
    ("views", "lines"),
    [
        ("none", []),
        ("flip", ["probabilities are means over views of each image (flip)"]),
    ],
)
def test_scores_of_views(views: str, lines: list[str]) -> None:
    scores = SplitScores(
        **metrics_of(), **PROVENANCE, split="test", fingerprint="f", predictions=[], views=views
    )
    end = summary.format_scores_summary(scores, "/scores").splitlines()[6:]
    assert end == [
        "precision, recall and f1: class dog",
        *lines,
        "report: /scores/report.html",
        "scores: /scores",
    ]


def test_new_images() -> None:
    scores = ImageScores(
        **PROVENANCE,
        images="/new",
        inputs=1204,
        scored_now=4,
        rows=1201,
        rejects=3,
        rejects_by_reason={"empty": 1, "truncated": 2},
        predictions=[],
        rejects_files=["rejects/r/part-000000.parquet"],
        ignored={".md": 1},
        predicted={"cat": 1200, "dog": 1},
        labelled=2,
        metrics=Metrics(**metrics_of(accuracy=0.5, recall=1.0, f1=2 / 3, loss=0.25)),
    )
    assert summary.format_image_scores_summary(scores, "/scores").splitlines() == [
        "predicted  images   share",
        "---------  ------  ------",
        "cat         1,200  99.92%",
        "dog             1   0.08%",
        "",
        "1,204 images = 1,201 predictions + 3 rejects; scored in this run: 4",
        "rejects: 1 empty, 2 truncated; listed in rejects/r/part-000000.parquet",
        "ignored, because their names are not those of images (preprocess.suffixes): 1 .md",
        "2 have a label: accuracy 0.5000  precision 0.5000  recall 1.0000  f1 0.6667  loss 0.2500",
        "model version v",
        "all probabilities: import glob, pandas; pandas.concat(map(pandas.read_parquet, "
        "glob.glob('/scores/predictions/*/part-*.parquet')))",
        "report: /scores/report.html",
        "scores: /scores",
    ]
    bare = scores.model_copy(
        update={"rejects_by_reason": {}, "ignored": {}, "labelled": 0, "metrics": None}
    )
    assert summary.format_image_scores_summary(bare, "/scores").splitlines()[5:] == [
        "1,204 images = 1,201 predictions + 3 rejects; scored in this run: 4",
        "model version v",
        "all probabilities: import glob, pandas; pandas.concat(map(pandas.read_parquet, "
        "glob.glob('/scores/predictions/*/part-*.parquet')))",
        "report: /scores/report.html",
        "scores: /scores",
    ]
    same = bare.model_copy(update={"scored_now": 0})
    assert summary.format_image_scores_summary(same, "memory://scores").splitlines()[5:9] == [
        "1,204 images = 1,201 predictions + 3 rejects",
        "nothing new: all images were scored before with this model",
        "model version v",
        "all probabilities: spark.read.parquet('memory://scores/predictions/*/part-*.parquet')",
    ]
