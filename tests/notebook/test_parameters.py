from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from halftone.config import Config, ConfigError
from halftone.errors import InputError, RunError, StoppedError
from halftone.notebook import parameters
from halftone.notebook.parameters import Parameter

DEFAULTS = {"config": "conf/local.yaml", "train.epochs": "", "train.launcher": "horovodrun"}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the notebook has by name, as in a kernel."""
    names: dict[str, Any] = {}
    monkeypatch.setattr(parameters, "get_ipython", lambda: SimpleNamespace(user_ns=names))
    return names


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "run.yaml").write_text(
        "paths: {dataset: there}\ntrain: {epochs: 5, model: {name: convnet}}\n"
    )
    return str(tmp_path / "run.yaml")


def test_a_parameter_is_the_environments_or_the_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFTONE_TRAIN_EPOCHS", "3")
    assert parameters.read_parameters(DEFAULTS) == {
        "config": Parameter("conf/local.yaml", "this notebook"),
        "train.epochs": Parameter("3", "HALFTONE_TRAIN_EPOCHS"),
        "train.launcher": Parameter("horovodrun", "this notebook"),
    }


class Widgets:
    """As those of Databricks, where a job has given a value."""

    def __init__(self, **values: str) -> None:
        self.values, self.labels = values, dict[str, str]()

    def text(self, name: str, default: str, label: str) -> None:
        self.values.setdefault(name, default)
        self.labels[name] = label

    def get(self, name: str) -> str:
        return self.values[name]


def test_a_widget_wins_over_the_environment(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFTONE_TRAIN_EPOCHS", "3")
    widgets = Widgets(train_epochs="9")
    given["dbutils"] = SimpleNamespace(widgets=widgets)
    assert parameters.read_parameters(DEFAULTS) == {
        "config": Parameter("conf/local.yaml", "widget config"),
        "train.epochs": Parameter("9", "widget train_epochs"),
        "train.launcher": Parameter("horovodrun", "widget train_launcher"),
    }
    assert widgets.labels == {name.replace(".", "_"): name for name in DEFAULTS}


def test_parameters_override_the_file_and_are_shown(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(parameters, "display", shown.append)
    made = parameters.load_config(
        {
            **{"config": file, "paths.dataset": "s3://b/a: 1", "train.epochs": ""},
            **{"train.model.filters": "[4, 8]", "train.patience": "", "score.threshold": "0.25"},
        }
    )
    assert made.paths.dataset == "s3://b/a: 1"
    assert (made.train.epochs, made.train.model.filters) == (5, (4, 8))
    assert made.score.threshold == 0.25
    cells = shown[0].data.replace(' style="text-align: left"', "").split("<tr><td>")[1:]
    assert cells == [
        f"config</td><td>{file}</td><td>this notebook</td></tr>",
        "paths.dataset</td><td>s3://b/a: 1</td><td>this notebook</td></tr>",
        f"train.epochs</td><td>5</td><td>{file}</td></tr>",
        "train.model.filters</td><td>[4, 8]</td><td>this notebook</td></tr>",
        f"train.patience</td><td>null</td><td>{file}</td></tr>",
        "score.threshold</td><td>0.25</td><td>this notebook</td></tr></table>",
    ]


def test_a_mistake_in_a_parameter_names_it(file: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parameters.load_config({"config": file, "train.epochs": "many"})
    assert str(caught.value) == (
        f'{file}: 1 mistake\n  train.epochs = "many": must be a valid integer'
    )


def test_paths_that_the_cells_need() -> None:
    config = Config.model_validate({"paths": {"model": "m"}})
    assert parameters.required_paths(config, "model") == ["m"]
    with pytest.raises(ConfigError) as caught:
        parameters.required_paths(config, "model", "scores")
    assert str(caught.value) == (
        "paths.scores is not set; give it in the config file or as paths.scores URL"
    )


def test_a_session_of_spark_connect_is_refused(given: dict[str, Any]) -> None:
    given["spark"] = SimpleNamespace()
    with pytest.raises(InputError) as caught, parameters.open_session(Config(), "train"):
        pytest.fail("went on")
    assert str(caught.value) == (
        "spark is a types.SimpleNamespace, which runs no RDDs; on Databricks attach the notebook "
        "to a cluster with dedicated access mode"
    )


@pytest.mark.parametrize("kind", [InputError, ConfigError, RunError, StoppedError])
def test_an_error_for_the_user_has_no_traceback(kind: type[Any]) -> None:
    assert kind("what\nand how")._render_traceback_() == [f"{kind.__name__}: what\nand how"]


def test_a_table_shows_text_as_it_is() -> None:
    assert parameters.html_table(["a"], [["<b>"]]).data == (
        '<table><tr><th style="text-align: left">a</th></tr>'
        '<tr><td style="text-align: left">&lt;b&gt;</td></tr></table>'
    )


def test_only_the_notebooks_own_folder_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setattr(parameters, "display", lambda _: None)
    for folder in ("conf", "notebooks", "other"):
        (tmp_path / folder).mkdir()
    for start, end in (("other", "other"), ("notebooks", "."), (".", ".")):
        monkeypatch.chdir(tmp_path / start)
        parameters.load_config({"config": file})
        assert Path.cwd() == tmp_path / end
