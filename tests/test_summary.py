from __future__ import annotations

from pathlib import Path

from halftone import summary
from test_manifest import example


def test_a_table_is_laid_out() -> None:
    rows = [["train", "1,200"], ["x", "7"]]
    assert summary.table(["split", "rows"], rows) == (
        "split   rows\n"
        "-----  -----\n"
        "train  1,200\n"
        "x          7"
    )  # fmt: skip


def test_a_dataset(tmp_path: Path) -> None:
    text = summary.of_dataset(example(), "/data", num_read=4)
    assert text.splitlines() == [
        "split  cat  dog  rows",
        "-----  ---  ---  ----",
        "train    1    1     2",
        "test     1    0     1",
        "",
        "4 images = 3 rows + 1 rejects + 0 duplicates",
        "rejects: 1 empty; listed in rejects/a.parquet",
        "ignored, as no image by preprocess.suffixes: 1 .md",
        "read in this run: 4",
        "contact sheet: /data/contact_sheets/a.png",
        "version 1, fingerprint f",
        "dataset: /data",
    ]


def test_a_dataset_in_which_nothing_is_new() -> None:
    text = summary.of_dataset(example(), "/data", num_read=0)
    assert "nothing new: no image was added or changed since the last run" in text.splitlines()


def test_scores() -> None:
    ratios = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3}
    result = {
        **ratios,
        "accuracy": 0.75,
        "loss": 0.5,
        "split": "test",
        "rows": 1200,
        "average": "class dog",
        "per_class": {"cat": {**ratios, "support": 200}, "dog": {**ratios, "support": 1000}},
    }
    assert summary.of_scores(result, "/scores").splitlines() == [
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
