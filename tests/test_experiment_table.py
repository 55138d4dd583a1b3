from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from halftone.config import Config, from_mapping
from halftone.experiment import spec, table
from halftone.experiment.planning import Trial
from halftone.experiment.run_job import Outcome
from halftone.experiment.spec import Paper


def config(**train: Any) -> Config:
    return from_mapping({"paths": {"images": "faces"}, "train": train}, "test")


NO_PAPER = Paper()
BASE = config()
WIDE = config(learning_rate=0.01, model={"name": "convnet", "filters": [8, 16, 32]})
MLP = config(model={"name": "mlp", "hidden": [5]})


def outcome(
    name: str, settings: Config, val_loss: Optional[float], paper: Paper = NO_PAPER, note: str = ""
) -> Outcome:
    result = {
        "parameters": 12345,
        "train": {"accuracy": 0.875, "loss": 0.25},
        "validation": {"accuracy": None if val_loss is None else 0.75, "loss": val_loss},
        "test": {"accuracy": 0.98, "loss": 0.0625},
        "train_secs": 1234.5,
        "images_per_sec": 4321.9,
    }
    return Outcome(Trial(name, settings, paper, note), result, "", f"out/runs/{name}/log")


DONE = [
    outcome("plain", BASE, 0.5, Paper(accuracy=0.97), "as section 4 has it"),
    outcome("wide", WIDE, 0.125, Paper(accuracy=0.99, loss=2.5e-05)),
    Outcome(Trial("dense", MLP), None, "was killed by signal 9", "out/runs/dense/log"),
]


def test_the_table_of_a_terminal() -> None:
    header, body = table.cells(table.rows(DONE, BASE), BASE)
    assert header == [
        *("run", "settings", "parameters", "train accuracy", "train loss", "validation accuracy"),
        *("validation loss", "test accuracy", "test loss", "train secs", "images/s"),
        *("paper accuracy", "accuracy - paper", "paper loss", "loss - paper"),
    ]
    assert body == [
        [
            *("plain", "-", "12,345", "0.8750", "0.25", "0.7500", "0.5", "0.9800", "0.0625"),
            *("1,234.5", "4,322", "0.9700", "+0.0100", "-", "-"),
        ],
        [
            *("wide *", "filters=[8,16,32] learning_rate=0.01", "12,345", "0.8750", "0.25"),
            *("0.7500", "0.125", "0.9800", "0.0625", "1,234.5", "4,322"),
            *("0.9900", "-0.0100", "2.5e-05", "+0.06248"),
        ],
        ["dense", "model=mlp hidden=[5] dropout=0.0", *["-"] * 13],
    ]


def test_a_table_without_a_paper_has_no_columns_for_one() -> None:
    header, _ = table.cells(table.rows([outcome("plain", BASE, 0.5)], BASE), BASE)
    assert header[-1] == "images/s"


def test_the_csv_has_settings_in_columns_and_numbers_in_full() -> None:
    runs = [
        outcome("plain", BASE, 0.5, Paper(loss=0.0625)),
        outcome("slow", config(epochs=3), None),
    ]
    assert table.as_csv(table.rows(runs, BASE)) == (
        "run,best,train.epochs,parameters,train accuracy,train loss,validation accuracy,"
        "validation loss,test accuracy,test loss,train secs,images/s,paper loss,loss - paper\n"
        "plain,true,10,12345,0.875,0.25,0.75,0.5,0.98,0.0625,1234.5,4321.9,0.0625,0.0\n"
        "slow,false,3,12345,0.875,0.25,,,0.98,0.0625,1234.5,4321.9,,\n"
    )


def test_the_best_run_has_the_lowest_validation_loss() -> None:
    assert table.best(DONE) == "wide"
    assert table.best([outcome("plain", BASE, None)]) is None


def test_the_page_says_whose_images_what_was_shrunk_and_what_failed(tmp_path: Path) -> None:
    asked = spec.from_mapping(
        {"name": "study", "about": "Rossi 2022", "synthetic": True, "runs": [{"name": "plain"}]},
        "test",
    )
    said = table.write(asked, BASE, DONE, str(tmp_path), ["--epochs 2", "--subset 400"])
    assert said.splitlines()[6:] == [
        "experiment: study (Rossi 2022)",
        "images: faces, drawn by code (synthetic): they say nothing about real ones",
        "shrunk by --epochs 2, --subset 400: not to be compared with a paper's figures",
        "* the best run: the lowest validation loss",
        "plain: as section 4 has it",
        "failed: dense: was killed by signal 9",
        f"table: {tmp_path}/table.md",
        f"table: {tmp_path}/table.csv",
    ]
    page = (tmp_path / "table.md").read_text().splitlines()
    assert page[:4] == [
        "# study",
        "",
        "| run | settings | parameters | train accuracy | train loss | validation accuracy | "
        "validation loss | test accuracy | test loss | train secs | images/s | paper accuracy | "
        "accuracy - paper | paper loss | loss - paper |",
        "|---|---" + "|--:" * 13 + "|",
    ]
    assert page[4] == (
        "| plain | - | 12,345 | 0.8750 | 0.25 | 0.7500 | 0.5 | 0.9800 | 0.0625 | 1,234.5 | 4,322 | "
        "0.9700 | +0.0100 | - | - |"
    )
    assert page[7:] == [
        "",
        "- experiment: study (Rossi 2022)",
        "- images: faces, drawn by code (synthetic): they say nothing about real ones",
        "- shrunk by --epochs 2, --subset 400: not to be compared with a paper's figures",
        "- the best run: the lowest validation loss",
        "- plain: as section 4 has it",
        "- failed: dense: was killed by signal 9",
    ]
