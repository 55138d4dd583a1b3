from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_runs import a_result, config
from halftone.config import Config, Paths, config_from_mapping
from halftone.experiment import rows, spec, table, terminal
from halftone.experiment.outcomes import (
    ExperimentResults,
    RunOutcome,
    StageOutcomes,
    combine_folds,
)
from halftone.experiment.planning import Trial
from halftone.experiment.spec import PaperResult, SelectionCriterion

NO_PAPER = PaperResult()
BASE = config()
WIDE = config(learning_rate=0.01, model={"name": "convnet", "filters": [8, 16, 32]})
MLP = config(model={"name": "mlp", "hidden": [5]})


def make_outcome(
    name: str,
    run_config: Config,
    val_loss: Optional[float],
    paper: PaperResult = NO_PAPER,
    note: str = "",
    **changes: Any,
) -> RunOutcome:
    folder = f"out/runs/{name}"
    accuracy = None if val_loss is None else 0.75
    result = a_result(**{"validation": {"accuracy": accuracy, "loss": val_loss}, **changes})
    return RunOutcome(Trial(name, run_config, paper, note), result, "", f"{folder}/log", folder)


def failed_outcome(name: str, run_config: Config) -> RunOutcome:
    folder, error = f"out/runs/{name}", "was killed by signal 9"
    return RunOutcome(Trial(name, run_config), None, error, f"{folder}/log", folder)


def make_stage(
    outcomes: list[RunOutcome], best: Optional[str] = None, **changes: Any
) -> StageOutcomes:
    return StageOutcomes(**{"name": "", "about": "", **changes}, outcomes=outcomes, best=best)


PRUNED = make_outcome(
    "slow", config(epochs=3), 0.5, state="pruned", epochs=1, parameters=None, test={}
)
OUTCOMES = [
    make_outcome(
        "plain", BASE, 0.5, PaperResult(accuracy=0.97, train_secs=1000), "as in section 4"
    ),
    make_outcome("wide", WIDE, 0.125, PaperResult(accuracy=0.99, loss=2.5e-05)),
    failed_outcome("dense", MLP),
]
STUDY = spec.parse_spec(
    {"name": "study", "about": "Rossi 2022", "runs": [{"name": "plain"}]}, "test"
)


def terminal_lines(outcomes: list[RunOutcome], best: Optional[str] = None) -> list[str]:
    stage = make_stage(outcomes, best)
    return terminal.format_stage(stage, rows.build_rows(stage, BASE), BASE).splitlines()


def test_a_terminal_table_is_split_and_has_the_settings_below() -> None:
    assert terminal_lines(OUTCOMES, "wide") == [
        "                            --- train ----  -- validation -  ----- test -----",
        "run             parameters  accuracy  loss  accuracy   loss  accuracy    loss"
        "  train secs  images/s",
        "--------------  ----------  --------  ----  --------  -----  --------  ------"
        "  ----------  --------",
        "plain               12,345    0.8750  0.25    0.7500    0.5    0.9800  0.0625"
        "     1,234.5     4,322",
        "wide *              12,345    0.8750  0.25    0.7500  0.125    0.9800  0.0625"
        "     1,234.5     4,322",
        "dense (failed)           -         -     -         -      -         -       -"
        "           -         -",
        "",
        "                ---------------------------- paper ----------------------------",
        "run             accuracy  Δaccuracy     loss     Δloss  train secs  Δtrain secs",
        "--------------  --------  ---------  -------  --------  ----------  -----------",
        "plain             0.9700    +0.0100        -         -     1,000.0       +234.5",
        "wide *            0.9900    -0.0100  2.5e-05  +0.06248           -            -",
        "dense (failed)         -          -        -         -           -            -",
        "",
        "settings  that differ from the base",
        "wide      filters=[8,16,32] learning_rate=0.01",
        "dense     model=mlp hidden=[5] dropout=0",
    ]


def test_columns_without_any_value_are_omitted() -> None:
    train = {"mistakes": 3, "f1": 0.5, "precision": None}
    stage = make_stage([make_outcome("plain", BASE, None, train=train)])
    assert [column.title() for column in rows.list_columns(rows.build_rows(stage, BASE))] == [
        *("parameters", "train f1", "train mistakes", "test accuracy", "test loss", "train secs"),
        "images/s",
    ]
    lines = terminal_lines([failed_outcome("dense", BASE)])
    assert lines[1:3] == ["--------------", "dense (failed)"]


def test_a_pruned_run_has_the_values_of_its_epochs() -> None:
    (row,) = rows.build_rows(make_stage([PRUNED]), BASE)
    assert row.state() == "pruned after 1 epoch"
    assert rows.format_cell(row, rows.TableColumn("validation", "loss")) == "0.5"
    assert rows.format_cell(row, rows.TableColumn("test", "loss")) == "-"


def test_settings_of_all_runs_are_listed_once() -> None:
    runs = [
        make_outcome("a", config(batch_size=10, epochs=3), 0.5),
        make_outcome("b", config(batch_size=10, epochs=4), 0.5),
    ]
    assert terminal_lines(runs)[-4:] == [
        "settings  that differ from the base",
        "all runs  batch_size=10",
        "a         epochs=3",
        "b         epochs=4",
    ]


def test_settings_are_rounded_to_six_digits() -> None:
    outcome = make_outcome("a", config(learning_rate=0.0014391150011641746), 0.5)
    assert terminal_lines([outcome])[-1] == "a         learning_rate=0.00143912"


def test_folds_are_shown_as_mean_and_standard_deviation() -> None:
    folds = [a_result(test={"accuracy": a, "mistakes": m}) for a, m in ((0.9, 3), (0.8, 6))]
    outcome = RunOutcome(Trial("cross", BASE), combine_folds(folds), "", "log", "out/runs/cross")
    stage = make_stage([outcome])
    (row,) = rows.build_rows(stage, BASE)
    assert rows.format_cell(row, rows.TableColumn("test", "accuracy")) == "0.8500 ±0.0707"
    assert rows.format_cell(row, rows.TableColumn("test", "mistakes")) == "4.5 ±2.1"
    assert rows.format_cell(row, rows.TableColumn("", "parameters")) == "12,345"
    header, cells = csv.reader(io.StringIO(table.format_csv([stage], [[row]])))
    values = dict(zip(header, cells))
    assert (values["test mistakes"], values["test mistakes std"]) == ("4.5", "2.1213203435596424")


def read_csv(*stages: StageOutcomes) -> list[dict[str, str]]:
    text = table.format_csv(stages, [rows.build_rows(stage, BASE) for stage in stages])
    return list(csv.DictReader(io.StringIO(text)))


def test_the_csv_has_settings_in_columns_and_unrounded_numbers() -> None:
    outcomes = [
        make_outcome("plain", BASE, 0.5, PaperResult(loss=0.0625)),
        failed_outcome("flat", MLP),
        PRUNED,
    ]
    csv_rows = read_csv(make_stage(outcomes, "plain"))
    assert [row["run"] for row in csv_rows] == ["plain", "flat", "slow"]
    assert [row["state"] for row in csv_rows] == ["finished", "failed", "pruned"]
    assert [row["best"] for row in csv_rows] == ["true", "false", "false"]
    assert [row["train.epochs"] for row in csv_rows] == ["10", "10", "3"]
    assert [row["train.model.hidden"] for row in csv_rows] == ["", "[5]", ""]
    assert [row["train secs"] for row in csv_rows] == ["1234.5", "", "1234.5"]
    assert [row["loss - paper"] for row in csv_rows] == ["0.0", "", ""]
    assert "stage" not in csv_rows[0]


def test_the_columns_of_a_csv() -> None:
    stage = make_stage([make_outcome("plain", config(epochs=3), 0.5, PaperResult(loss=0.0625))])
    assert table.format_csv([stage], [rows.build_rows(stage, BASE)]) == (
        "run,best,state,train.epochs,parameters,train accuracy,train loss,validation accuracy,"
        "validation loss,test accuracy,test loss,train secs,images/s,paper loss,loss - paper\n"
        "plain,false,finished,3,12345,0.875,0.25,0.75,0.5,0.98,0.0625,1234.5,4321.9,0.0625,0.0\n"
    )


def test_the_csv_of_several_stages_has_their_names() -> None:
    csv_rows = read_csv(
        make_stage([OUTCOMES[0]], name="first"), make_stage([OUTCOMES[1]], name="second")
    )
    assert [(row["stage"], row["run"]) for row in csv_rows] == [
        ("first", "plain"),
        ("second", "wide"),
    ]


@pytest.mark.parametrize(
    ("choose", "val_loss", "words"),
    [
        (SelectionCriterion(), 0.5, "lowest validation loss"),
        (SelectionCriterion(split="train", metric="accuracy"), 0.5, "highest train accuracy"),
        (SelectionCriterion(), None, "lowest train loss, as there is no validation split"),
    ],
)
def test_the_criterion_of_the_best_run_is_described(
    choose: SelectionCriterion, val_loss: Optional[float], words: str
) -> None:
    outcome = make_outcome("plain", BASE, val_loss)
    assert rows.describe_criterion(make_stage([outcome], "plain", choose=choose)) == words
    assert rows.describe_criterion(make_stage([outcome], None, choose=choose)) is None


def test_all_tables_are_written_with_their_remarks(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "sample.json").write_text('{"what": "synthetic: code drew them"}')
    row_counts = [{"train": 768, "validation": 192, "test": 1240}, {"train": 960, "test": 1240}]
    stage = make_stage(OUTCOMES, "wide", row_counts=row_counts)
    base = BASE.model_copy(update={"paths": Paths(images=str(images))})
    text = table.write_tables(
        ExperimentResults(STUDY, base, [stage], str(tmp_path), ["--epochs 2", "--subset 400"])
    )
    remarks = [
        "experiment: study (Rossi 2022)",
        f"images: {images}, synthetic: code drew them",
        "shrunk by --epochs 2, --subset 400: not comparable with a paper's figures",
        "rows: 768 to 960 for training, 0 to 192 for validation, 1,240 for testing",
        "* best run: wide (lowest validation loss); stored in out/runs/wide",
        "plain: as in section 4",
        "dense: failed: was killed by signal 9; its log is out/runs/dense/log",
    ]
    assert text.splitlines()[18:] == [
        *remarks,
        f"table: {tmp_path}/table.md",
        f"table: {tmp_path}/table.csv",
        f"page: {tmp_path}/index.html",
    ]
    markdown = (tmp_path / "table.md").read_text().splitlines()
    assert markdown[:5] == [
        "# study",
        "",
        "| run | settings | parameters | train accuracy | train loss | validation accuracy | "
        "validation loss | test accuracy | test loss | train secs | images/s | paper accuracy | "
        "accuracy - paper | paper loss | loss - paper | paper train secs | train secs - paper |",
        "|---|---" + "|--:" * 15 + "|",
        "| plain | - | 12,345 | 0.8750 | 0.25 | 0.7500 | 0.5 | 0.9800 | 0.0625 | 1,234.5 | 4,322 | "
        "0.9700 | +0.0100 | - | - | 1,000.0 | +234.5 |",
    ]
    assert markdown[7:] == ["", *(f"- {line}".replace("*", "\\*") for line in remarks)]


def test_each_stage_has_its_own_table(tmp_path: Path) -> None:
    experiment = spec.parse_spec(
        {
            "name": "study",
            "folds": 2,
            "stages": [
                {"name": "first", "subset": 1000, "runs": [{"name": "plain"}]},
                {"name": "second", "about": "a|b", "runs": [{"name": "wide"}]},
            ],
        },
        "test",
    )
    stages = [
        make_stage([OUTCOMES[0]], "plain", name="first", row_counts=[{"train": 3, "test": 1}])
    ]
    results = ExperimentResults(experiment, BASE, stages, str(tmp_path))
    assert "== second ==" not in table.write_tables(results)
    stages.append(make_stage([OUTCOMES[1]], "wide", name="second", about="why"))
    lines = table.write_tables(results).splitlines()
    assert [line for line in lines if line.startswith("==")] == ["== first ==", "== second =="]
    assert "figures are means over 2 folds, ± their standard deviation" in lines
    assert "images: /data/images" in lines
    assert "first: rows: 3 for training, 1 for testing" in lines
    assert "first: at most 1,000 images, equally many of each class" in lines
    assert "second: * best run: wide (lowest validation loss); stored in out/runs/wide" in lines
    markdown = (tmp_path / "table.md").read_text().splitlines()
    assert [line for line in markdown if line.startswith("## ")] == ["## first", "## second"]
    assert markdown[markdown.index("## second") + 2] == "why"


def test_markdown_syntax_in_settings_is_escaped() -> None:
    with_bar = config_from_mapping({"splits": {"from_path": "^(train|test)/"}}, "test")
    stage = make_stage([make_outcome("plain", with_bar, 0.5)])
    results = ExperimentResults(STUDY, BASE, [stage], "out")
    markdown = table.format_markdown(results, [rows.build_rows(stage, BASE)], [])
    assert "from_path=^(train\\|test)/" in markdown


SETS = st.sets(st.sampled_from(rows.METRIC_NAMES))


@settings(max_examples=25)
@given(st.integers(1, 40), st.tuples(SETS, SETS, SETS), st.floats(0, 1e6))
def test_no_terminal_line_is_wider_than_120_characters(
    chars: int, names: tuple[set[str], set[str], set[str]], value: float
) -> None:
    train, validation, test = (dict.fromkeys(sorted(metrics), value) for metrics in names)
    figures = {"train": train, "validation": validation, "test": test}
    outcome = make_outcome("a" * chars, WIDE, 0.5, PaperResult(loss=3.0), **figures)
    stage = make_stage([outcome], "a" * chars)
    run_rows = rows.build_rows(stage, BASE)
    lines = terminal.format_stage(stage, run_rows, BASE).splitlines()
    assert max(map(len, lines)) <= 120
    text = " ".join(lines)
    assert all(rows.format_cell(row, column) in text for row in run_rows for column in row.values)
