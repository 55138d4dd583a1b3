"""Parameters, a Spark session and short error messages for notebooks in Jupyter and Databricks.

On Databricks parameters are widgets of `dbutils`, and the notebook already has a session, `spark`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any, Callable, NamedTuple

from IPython.core.getipython import get_ipython
from IPython.display import HTML, display
from pyspark.sql import SparkSession

from halftone import logs, printable
from halftone.config import Config, build_config, flatten_settings, require_path
from halftone.config.overrides import PATHS_PREFIX, parse_text, read_environment, variable_name
from halftone.dataset import named_dataset
from halftone.errors import InputError, RunError
from halftone.spark.connect import is_connect
from halftone.spark.session import prepare_session, session_on_demand
from halftone.storage import clients

_CONFIG_KEY = "config"
_STDERR_FD = 2


class Parameter(NamedTuple):
    value: str  # "" leaves the setting as in the config file
    source: str  # where the value comes from


def _short_traceback(error: Exception) -> list[str]:
    return [f"{type(error).__name__}: {error}"]


# IPython calls this method of an exception. Jobs print these errors without a traceback, and so do
# notebooks.
for _error_type in (InputError, RunError):
    setattr(_error_type, "_render_traceback_", _short_traceback)  # noqa: B010 (unknown to mypy)


def config_from_parameters(defaults: Mapping[str, str]) -> Config:
    """Build the config from the notebook's parameters, and show them as a table.

    Variables of settings that are no parameters count too, and are shown as well.

    Also change the working directory to the root of the clone, like jobs.

    Args:
        defaults: default values by name. `config` is the path of a YAML file; other names are
            dotted keys of settings, such as train.epochs, and "" leaves them as in the file.

    Raises:
        ConfigError: as load_config does.
    """
    _change_to_root()
    parameters = read_parameters(defaults)
    file = parameters[_CONFIG_KEY].value
    given = [
        parse_text(key, parameter.value, parameter.source)
        for key, parameter in parameters.items()
        if key != _CONFIG_KEY and parameter.value
    ]
    others = [each for each in read_environment() if each.key not in parameters]
    config = build_config(file, [*others, *given])
    logs.start(libraries=False)
    logs.set_run(config.name)
    clients.set_options(config.storage.options)
    values = flatten_settings(config.model_dump(mode="json"))
    rows = [
        (key, parameter.value, parameter.source)
        if parameter.value
        else (key, _yaml_text(values.get(key)), file)
        for key, parameter in parameters.items()
    ]
    rows += [(each.key, _yaml_text(each.value), each.origin) for each in others]
    display(html_table(("parameter", "value", "from"), rows))  # type: ignore[no-untyped-call]
    return config


def required_paths(config: Config, *names: str) -> list[str]:
    """Return settings of the section `paths`.

    Raises:
        ConfigError: one of them is not set.
    """
    return [require_path(getattr(config.paths, name), name, PATHS_PREFIX + name) for name in names]


def with_dataset_url(config: Config) -> Config:
    """Return the config with the URL of a dataset to read that is named as a table.

    Raises:
        InputError: as named_dataset.find_dataset.
    """
    with open_session(config, "dataset") as session:
        return named_dataset.with_dataset_url(config, session)


def read_parameters(defaults: Mapping[str, str]) -> dict[str, Parameter]:
    """Return a parameter for each name.

    On Databricks its value is that of a widget, which is created if necessary and which a job
    parameter of the same name sets. Elsewhere it is that of an environment variable, if set, or the
    default. For train.epochs the names are train_epochs and HALFTONE_TRAIN_EPOCHS.
    """
    widgets = getattr(_notebook_variable("dbutils"), "widgets", None)
    parameters = {}
    for key, default in defaults.items():
        name = key.replace(".", "_")
        variable = variable_name(key)
        if widgets is not None:
            widgets.text(name, default, key)
            parameters[key] = Parameter(widgets.get(name), f"widget {name}")
        elif variable in os.environ:
            parameters[key] = Parameter(os.environ[variable], variable)
        else:
            parameters[key] = Parameter(default, "this notebook")
    return parameters


@contextmanager
def open_session(config: Config, stage: str) -> Iterator[Callable[[], SparkSession]]:
    """Yield a function that returns the notebook's `spark`, or starts a session.

    While the context is open, progress goes to stdout, and messages of Spark and C libraries go to
    the log of the Jupyter server.

    Args:
        config: the whole config.
        stage: shown in the name of a session that is started, see session.spark_session.

    Raises:
        InputError: `spark` is no Spark session.
    """
    spark = _notebook_variable("spark")
    if spark is not None and not (isinstance(spark, SparkSession) or is_connect(spark)):
        raise InputError(
            f"spark is a {type(spark).__module__}.{type(spark).__name__} and not a Spark session; "
            "delete the variable to have a session started, or attach the notebook to a cluster"
        )
    with ExitStack() as stack:
        stack.enter_context(redirect_native_stderr())
        stack.enter_context(redirect_stderr(sys.stdout))
        if spark is not None:
            yield partial(prepare_session, spark)
        else:
            yield stack.enter_context(session_on_demand(f"{config.name}: {stage}", config.spark))


@contextmanager
def redirect_native_stderr() -> Iterator[None]:
    """Redirect file descriptor 2 to the Jupyter server's stderr; kernels redirect it to cells.

    Spark's JVM inherits the descriptor and keeps it.
    """
    try:
        server_fd = sys.stderr.fileno()  # ipykernel returns the original descriptor
    except (AttributeError, OSError):
        server_fd = _STDERR_FD
    cell_fd = os.dup(_STDERR_FD)
    os.dup2(server_fd, _STDERR_FD)
    try:
        yield
    finally:
        os.dup2(cell_fd, _STDERR_FD)
        os.close(cell_fd)


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> HTML:
    """Return a table of texts; cells are escaped."""
    lines = [_html_row("th", header), *(_html_row("td", row) for row in rows)]
    return HTML(f"<table>{''.join(lines)}</table>")  # type: ignore[no-untyped-call]


def _html_row(tag: str, cells: Sequence[str]) -> str:
    columns = "".join(
        f'<{tag} style="text-align: left">{printable.escape_html(cell)}</{tag}>' for cell in cells
    )
    return f"<tr>{columns}</tr>"


def _yaml_text(value: Any) -> str:
    """Format a setting as in a YAML file."""
    return value if isinstance(value, str) else json.dumps(value)


def _notebook_variable(name: str) -> Any:
    """Return a variable of the notebook; None if it does not exist."""
    shell = get_ipython()  # type: ignore[no-untyped-call]
    return shell.user_ns.get(name) if shell else None


def _change_to_root() -> None:
    """Change to the root of the clone if the working directory is its folder of notebooks."""
    root = Path.cwd().parent
    if Path.cwd().name == "notebooks" and (root / "conf").is_dir():
        os.chdir(root)
