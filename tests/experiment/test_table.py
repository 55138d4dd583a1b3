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
from halftone.experiment.outcomes import RunOutcome, StageOutcomes, combine_folds
from halftone.experiment.planning import Trial
from halftone.experiment.spec import PaperResult, SelectionCriterion

NO_PAPER = PaperResult()
BASE = config()
WIDE = config(learning_rate=0.01, model={"name": "convnet", "filters": [8, 16, 32]})
MLP = config(model={"name": "mlp", "hidden": [5]})


def outcome(
    name: str,
    settings: Config,
    val_loss: Optional[float],
    paper: PaperResult = NO_PAPER,
    note: str = "",
    **changes: Any,
) -> RunOutcome:
    place = f"out/runs/{name}"
    accuracy = None if val_loss is None else 0.75
    made = a_result(**{"validation": {"accuracy": accuracy, "loss": val_loss}, **changes})
    return RunOutcome(Trial(name, settings, paper, note), made, "", f"{place}/log", place)


def failed(name: str, settings: Config, error: str = "was killed by signal 9") -> RunOutcome:
    place = f"out/runs/{name}"
    return RunOutcome(Trial(name, settings), None, error, f"{place}/log", place)


def stage(outcomes: list[RunOutcome], best: Optional[str] = None, **changes: Any) -> StageOutcomes:
    return StageOutcomes(**{"name": "", "about": "", **changes}, outcomes=outcomes, best=best)


PRUNED = outcome("slow", config(epochs=3), 0.5, state="pruned", epochs=1, parameters=None, test={})
DONE = [
    outcome("plain", BASE, 0.5, PaperResult(accuracy=0.97, train_secs=1000), "as section 4 has it"),
    outcome("wide", WIDE, 0.125, PaperResult(accuracy=0.99, loss=2.5e-05)),
    failed("dense", MLP),
]
STUDY = spec.parse_spec(
    {"name": "study", "about": "Rossi 2022", "runs": [{"name": "plain"}]}, "test"
)


def as_text(outcomes: list[RunOutcome], best: Optional[str] = None, **changes: Any) -> list[str]:
    own = stage(outcomes, best, **changes)
    return terminal.format_stage(own, rows.build_rows(own, BASE), BASE).splitlines()


def test_the_table_of_a_terminal_is_folded_and_has_the_settings_below() -> None:
    assert as_text(DONE, "wide") == [
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
        "settings  unlike the base's",
        "wide      filters=[8,16,32] learning_rate=0.01",
        "dense     model=mlp hidden=[5] dropout=0",
    ]


def test_columns_without_any_figure_are_left_out() -> None:
    only = outcome("plain", BASE, None, train={"mistakes": 3, "f1": 0.5, "precision": None})
    made = rows.build_rows(stage([only]), BASE)
    assert [column.title() for column in rows.list_columns(made)] == [
        *("parameters", "train f1", "train mistakes", "test accuracy", "test loss", "train secs"),
        "images/s",
    ]
    assert as_text([failed("dense", BASE)])[1:3] == ["--------------", "dense (failed)"]


def test_a_pruned_run_has_what_it_came_to() -> None:
    own = stage([PRUNED], None)
    (row,) = rows.build_rows(own, BASE)
    assert row.state() == "pruned after 1 epoch"
    assert rows.format_cell(row, rows.TableColumn("validation", "loss")) == "0.5"
    assert rows.format_cell(row, rows.TableColumn("test", "loss")) == "-"


def test_what_all_runs_have_is_said_once() -> None:
    runs = [
        outcome("a", config(batch_size=10, epochs=3), 0.5),
        outcome("b", config(batch_size=10, epochs=4), 0.5),
    ]
    assert as_text(runs)[-4:] == [
        "settings  unlike the base's",
        "all runs  batch_size=10",
        "a         epochs=3",
        "b         epochs=4",
    ]


def test_a_setting_that_a_search_proposed_has_no_more_digits_than_matter() -> None:
    run = outcome("a", config(learning_rate=0.0014391150011641746), 0.5)
    assert as_text([run])[-1] == "a         learning_rate=0.00143912"


def test_folds_are_a_mean_and_its_deviation() -> None:
    folds = [a_result(test={"accuracy": a, "mistakes": m}) for a, m in ((0.9, 3), (0.8, 6))]
    one = RunOutcome(Trial("cross", BASE), combine_folds(folds), "", "log", "out/runs/cross")
    (row,) = rows.build_rows(stage([one]), BASE)
    assert rows.format_cell(row, rows.TableColumn("test", "accuracy")) == "0.8500 ±0.0707"
    assert rows.format_cell(row, rows.TableColumn("test", "mistakes")) == "4.5 ±2.1"
    assert rows.format_cell(row, rows.TableColumn("", "parameters")) == "12,345"
    header, cells = csv.reader(io.StringIO(table.format_csv([stage([one])], [[row]])))
    read = dict(zip(header, cells))
    assert (read["test mistakes"], read["test mistakes std"]) == ("4.5", "2.1213203435596424")


def test_the_csv_has_settings_in_columns_and_numbers_in_full() -> None:
    runs = [outcome("plain", BASE, 0.5, PaperResult(loss=0.0625)), failed("flat", MLP), PRUNED]
    own = stage(runs, "plain")
    read = list(csv.DictReader(io.StringIO(table.format_csv([own], [rows.build_rows(own, BASE)]))))
    assert [one["run"] for one in read] == ["plain", "flat", "slow"]
    assert [one["state"] for one in read] == ["finished", "failed", "pruned"]
    assert [one["best"] for one in read] == ["true", "false", "false"]
    assert [one["train.epochs"] for one in read] == ["10", "10", "3"]
    assert [one["train.model.hidden"] for one in read] == ["", "[5]", ""]
    assert [one["train secs"] for one in read] == ["1234.5", "", "1234.5"]
    assert [one["loss - paper"] for one in read] == ["0.0", "", ""]
    assert "stage" not in read[0]


def test_the_columns_of_a_csv() -> None:
    own = stage([outcome("plain", config(epochs=3), 0.5, PaperResult(loss=0.0625))])
    assert table.format_csv([own], [rows.build_rows(own, BASE)]) == (
        "run,best,state,train.epochs,parameters,train accuracy,train loss,validation accuracy,"
        "validation loss,test accuracy,test loss,train secs,images/s,paper loss,loss - paper\n"
        "plain,false,finished,3,12345,0.875,0.25,0.75,0.5,0.98,0.0625,1234.5,4321.9,0.0625,0.0\n"
    )


def test_the_csv_of_stages_names_them() -> None:
    own = [stage([DONE[0]], name="first"), stage([DONE[1]], name="second")]
    made = [rows.build_rows(one, BASE) for one in own]
    read = list(csv.DictReader(io.StringIO(table.format_csv(own, made))))
    assert [(one["stage"], one["run"]) for one in read] == [("first", "plain"), ("second", "wide")]


@pytest.mark.parametrize(
    ("choose", "val_loss", "words"),
    [
        (SelectionCriterion(), 0.5, "the lowest validation loss"),
        (SelectionCriterion(split="train", metric="accuracy"), 0.5, "the highest train accuracy"),
        (
            SelectionCriterion(),
            None,
            "the lowest train loss, as nothing was held out for validation",
        ),
    ],
)
def test_why_the_best_is_the_best(
    choose: SelectionCriterion, val_loss: Optional[float], words: str
) -> None:
    run = outcome("plain", BASE, val_loss)
    assert rows.describe_criterion(stage([run], "plain", choose=choose)) == words
    assert rows.describe_criterion(stage([run], None, choose=choose)) is None


def test_all_forms_are_written_with_what_must_be_read_with_them(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "sample.json").write_text('{"what": "synthetic: code drew them"}')
    rows = [{"train": 768, "validation": 192, "test": 1240}, {"train": 960, "test": 1240}]
    done = stage(DONE, "wide", rows=rows)
    base = BASE.model_copy(update={"paths": Paths(images=str(images))})
    said = table.write_tables(STUDY, base, [done], str(tmp_path), ["--epochs 2", "--subset 400"])
    remarks = [
        "experiment: study (Rossi 2022)",
        f"images: {images}, synthetic: code drew them",
        "shrunk by --epochs 2, --subset 400: not to be compared with a paper's figures",
        "rows: 768 to 960 to train on, 0 to 192 held out to validate, 1,240 to test",
        "* the best run, wide: the lowest validation loss; kept in out/runs/wide",
        "plain: as section 4 has it",
        "dense: failed: was killed by signal 9; its log is out/runs/dense/log",
    ]
    assert said.splitlines()[18:] == [
        *remarks,
        f"table: {tmp_path}/table.md",
        f"table: {tmp_path}/table.csv",
        f"page: {tmp_path}/index.html",
    ]
    page = (tmp_path / "table.md").read_text().splitlines()
    assert page[:5] == [
        "# study",
        "",
        "| run | settings | parameters | train accuracy | train loss | validation accuracy | "
        "validation loss | test accuracy | test loss | train secs | images/s | paper accuracy | "
        "accuracy - paper | paper loss | loss - paper | paper train secs | train secs - paper |",
        "|---|---" + "|--:" * 15 + "|",
        "| plain | - | 12,345 | 0.8750 | 0.25 | 0.7500 | 0.5 | 0.9800 | 0.0625 | 1,234.5 | 4,322 | "
        "0.9700 | +0.0100 | - | - | 1,000.0 | +234.5 |",
    ]
    assert page[7:] == ["", *(f"- {line}".replace("*", "\\*") for line in remarks)]


def test_stages_have_a_table_each(tmp_path: Path) -> None:
    asked = spec.parse_spec(
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
    own = [stage([DONE[0]], "plain", name="first", rows=[{"train": 3, "test": 1}])]
    assert "== second ==" not in table.write_tables(asked, BASE, own, str(tmp_path))
    own.append(stage([DONE[1]], "wide", name="second", about="why"))
    said = table.write_tables(asked, BASE, own, str(tmp_path)).splitlines()
    assert [line for line in said if line.startswith("==")] == ["== first ==", "== second =="]
    assert "figures are means over 2 folds, ± their standard deviation" in said
    assert "images: /data/images" in said
    assert "first: rows: 3 to train on, 1 to test" in said
    assert "first: at most 1,000 images, as many of each class" in said
    assert "second: * the best run, wide: the lowest validation loss; kept in out/runs/wide" in said
    page = (tmp_path / "table.md").read_text().splitlines()
    assert [line for line in page if line.startswith("## ")] == ["## first", "## second"]
    assert page[page.index("## second") + 2] == "why"


def test_markdown_takes_no_setting_for_its_own() -> None:
    with_bar = config_from_mapping({"splits": {"from_path": "^(train|test)/"}}, "test")
    own = stage([outcome("plain", with_bar, 0.5)])
    page = table.format_markdown(STUDY, BASE, [own], [rows.build_rows(own, BASE)], [])
    assert "from_path=^(train\\|test)/" in page


SETS = st.sets(st.sampled_from(rows.METRIC_NAMES))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.tuples(SETS, SETS, SETS), st.floats(0, 1e6))
def test_no_line_of_a_terminal_is_wider_than_120_characters(
    chars: int, names: tuple[set[str], set[str], set[str]], value: float
) -> None:
    train, validation, test = (dict.fromkeys(sorted(own), value) for own in names)
    figures = {"train": train, "validation": validation, "test": test}
    own = stage([outcome("a" * chars, WIDE, 0.5, PaperResult(loss=3.0), **figures)], "a" * chars)
    made = rows.build_rows(own, BASE)
    lines = terminal.format_stage(own, made, BASE).splitlines()
    assert max(map(len, lines)) <= 120
    shown = " ".join(lines)
    assert all(rows.format_cell(row, column) in shown for row in made for column in row.values)
