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
def notebook_variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The variables of the notebook, as in a kernel."""
    names: dict[str, Any] = {}
    monkeypatch.setattr(parameters, "get_ipython", lambda: SimpleNamespace(user_ns=names))
    return names


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "run.yaml").write_text(
        "paths: {dataset: there}\ntrain: {epochs: 5, model: {name: convnet}}\n"
    )
    return str(tmp_path / "run.yaml")


def test_environment_variable_overrides_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFTONE_TRAIN_EPOCHS", "3")
    assert parameters.read_parameters(DEFAULTS) == {
        "config": Parameter("conf/local.yaml", "this notebook"),
        "train.epochs": Parameter("3", "HALFTONE_TRAIN_EPOCHS"),
        "train.launcher": Parameter("horovodrun", "this notebook"),
    }


class Widgets:
    """Widgets of Databricks, some with values of a job's parameters."""

    def __init__(self, **values: str) -> None:
        self.values, self.labels = values, dict[str, str]()

    def text(self, name: str, default: str, label: str) -> None:
        self.values.setdefault(name, default)
        self.labels[name] = label

    def get(self, name: str) -> str:
        return self.values[name]


def test_widget_overrides_the_environment(
    notebook_variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFTONE_TRAIN_EPOCHS", "3")
    widgets = Widgets(train_epochs="9")
    notebook_variables["dbutils"] = SimpleNamespace(widgets=widgets)
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
    config = parameters.config_from_parameters(
        {
            **{"config": file, "paths.dataset": "s3://b/a: 1", "train.epochs": ""},
            **{"train.model.filters": "[4, 8]", "train.patience": "", "score.threshold": "0.25"},
        }
    )
    assert config.paths.dataset == "s3://b/a: 1"
    assert (config.train.epochs, config.train.model.filters) == (5, (4, 8))
    assert config.score.threshold == 0.25
    cells = shown[0].data.replace(' style="text-align: left"', "").split("<tr><td>")[1:]
    assert cells == [
        f"config</td><td>{file}</td><td>this notebook</td></tr>",
        "paths.dataset</td><td>s3://b/a: 1</td><td>this notebook</td></tr>",
        f"train.epochs</td><td>5</td><td>{file}</td></tr>",
        "train.model.filters</td><td>[4, 8]</td><td>this notebook</td></tr>",
        f"train.patience</td><td>null</td><td>{file}</td></tr>",
        "score.threshold</td><td>0.25</td><td>this notebook</td></tr></table>",
    ]


def test_variable_of_another_setting_counts_and_is_shown(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(parameters, "display", shown.append)
    monkeypatch.setenv("HALFTONE_TRAIN_BATCH_SIZE", "16")
    monkeypatch.setenv("HALFTONE_TRAIN_EPOCHS", "7")
    config = parameters.config_from_parameters({"config": file, "train.epochs": "2"})
    assert (config.train.epochs, config.train.batch_size) == (7, 16)
    rows = shown[0].data.replace(' style="text-align: left"', "")
    assert "<td>train.epochs</td><td>7</td><td>HALFTONE_TRAIN_EPOCHS</td>" in rows
    assert "<td>train.batch_size</td><td>16</td><td>HALFTONE_TRAIN_BATCH_SIZE</td>" in rows


def test_error_names_the_wrong_parameter(file: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parameters.config_from_parameters({"config": file, "train.epochs": "many"})
    assert str(caught.value) == (
        'this notebook: 1 mistake\n  train.epochs = "many": must be a valid integer'
    )


def test_required_paths() -> None:
    config = Config.model_validate({"paths": {"model": "m"}})
    assert parameters.required_paths(config, "model") == ["m"]
    with pytest.raises(ConfigError) as caught:
        parameters.required_paths(config, "model", "scores")
    assert str(caught.value) == (
        "paths.scores is not set; give it in the config file or as paths.scores URL"
    )


def test_a_dataset_may_be_named_as_a_table() -> None:
    config = Config.model_validate({"paths": {"dataset": "delta:///data/faces"}})
    assert parameters.with_dataset_url(config).paths.dataset == "/data/faces"
    url = Config.model_validate({"paths": {"dataset": "s3://bucket/faces"}})
    assert parameters.with_dataset_url(url) is url


def test_a_variable_that_is_no_session_is_refused(notebook_variables: dict[str, Any]) -> None:
    notebook_variables["spark"] = SimpleNamespace()
    with pytest.raises(InputError) as caught, parameters.open_session(Config(), "train"):
        pytest.fail("the session was accepted")
    assert str(caught.value) == (
        "spark is a types.SimpleNamespace and not a Spark session; delete the variable to have a "
        "session started, or attach the notebook to a cluster"
    )


@pytest.mark.parametrize("error_type", [InputError, ConfigError, RunError, StoppedError])
def test_errors_for_users_have_no_traceback(error_type: type[Any]) -> None:
    lines = error_type("problem\nand cure")._render_traceback_()
    assert lines == [f"{error_type.__name__}: problem\nand cure"]


def test_table_escapes_html() -> None:
    assert parameters.html_table(["a"], [["<b>"]]).data == (
        '<table><tr><th style="text-align: left">a</th></tr>'
        '<tr><td style="text-align: left">&lt;b&gt;</td></tr></table>'
    )


def test_working_directory_changes_only_from_the_folder_of_notebooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setattr(parameters, "display", lambda _: None)
    for folder in ("conf", "notebooks", "other"):
        (tmp_path / folder).mkdir()
    for start, end in (("other", "other"), ("notebooks", "."), (".", ".")):
        monkeypatch.chdir(tmp_path / start)
        parameters.config_from_parameters({"config": file})
        assert Path.cwd() == tmp_path / end
