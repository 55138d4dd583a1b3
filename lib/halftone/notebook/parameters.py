"""What a notebook needs besides the jobs' own functions: parameters, a Spark session, brief errors.

For Jupyter and for Databricks: there `dbutils` has widgets, and `spark` is given.
"""

from __future__ import annotations

import html
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

from halftone.config import Config, flatten_settings, load_config, require_path
from halftone.errors import InputError, RunError
from halftone.spark.session import spark_session
from halftone.storage import clients

_CONFIG_KEY = "config"
_PATHS_PREFIX = "paths."
_STDERR_FD = 2


class Parameter(NamedTuple):
    value: str  # empty: as the config's file has it
    source: str  # where the value is from


def _short_traceback(error: Exception) -> list[str]:
    return [f"{type(error).__name__}: {error}"]


# IPython asks an exception for its traceback: what a user reads about without one in a job's output
# needs none in a notebook's either.
for _kind in (InputError, RunError):
    setattr(_kind, "_render_traceback_", _short_traceback)  # noqa: B010 (mypy knows no such attribute)


def config_from_parameters(defaults: Mapping[str, str]) -> Config:
    """Return the config that the notebook's parameters make, and show them as a table.

    The clone's root becomes the working directory, as it is for the jobs.

    Args:
        defaults: by name. `config` is a YAML file, any other the dotted key of a setting, such as
            train.epochs; an empty one leaves that setting as the file has it.

    Raises:
        ConfigError: as load_config does.
    """
    _change_to_root()
    given = read_parameters(defaults)
    file = given[_CONFIG_KEY].value
    settings = {key: one.value for key, one in given.items() if key != _CONFIG_KEY and one.value}
    made = load_config(
        file,
        [f"{key}={value}" for key, value in settings.items() if not key.startswith(_PATHS_PREFIX)],
        {
            key[len(_PATHS_PREFIX) :]: value
            for key, value in settings.items()
            if key.startswith(_PATHS_PREFIX)
        },
    )
    clients.set_options(made.storage.options)
    values = flatten_settings(made.model_dump(mode="json"))
    rows = [
        (key, one.value or _yaml_text(values.get(key)), one.source if one.value else file)
        for key, one in given.items()
    ]
    display(html_table(("parameter", "value", "from"), rows))  # type: ignore[no-untyped-call]
    return made


def required_paths(config: Config, *names: str) -> list[str]:
    """Return settings of the section `paths`. Raises ConfigError where one is not set."""
    return [require_path(getattr(config.paths, name), name, _PATHS_PREFIX + name) for name in names]


def read_parameters(defaults: Mapping[str, str]) -> dict[str, Parameter]:
    """Return a value for each name.

    On Databricks it is that of a widget, which is made if need be, and which a job's parameter of
    the same name sets; elsewhere that of an environment variable, if there is one. For train.epochs
    these are train_epochs and HALFTONE_TRAIN_EPOCHS.
    """
    widgets = getattr(_notebook_variable("dbutils"), "widgets", None)
    found = {}
    for key, default in defaults.items():
        name = key.replace(".", "_")
        variable = f"HALFTONE_{name.upper()}"
        if widgets is not None:
            widgets.text(name, default, key)
            found[key] = Parameter(widgets.get(name), f"widget {name}")
        elif variable in os.environ:
            found[key] = Parameter(os.environ[variable], variable)
        else:
            found[key] = Parameter(default, "this notebook")
    return found


@contextmanager
def open_session(config: Config, stage: str) -> Iterator[Callable[[], SparkSession]]:
    """Yield what gives the SparkSession: the notebook's `spark`, or see session.spark_session.

    Meanwhile progress goes where print does, and what Spark and C libraries have to say goes to
    the log of the Jupyter server.

    Raises:
        InputError: `spark` is no session that Halftone can work with.
    """
    given = _notebook_variable("spark")
    if given is not None and not isinstance(given, SparkSession):
        raise InputError(
            f"spark is a {type(given).__module__}.{type(given).__name__}, which runs no RDDs; "
            "on Databricks attach the notebook to a cluster with dedicated access mode"
        )
    with ExitStack() as stack:
        stack.enter_context(redirect_native_stderr())
        stack.enter_context(redirect_stderr(sys.stdout))
        if given is not None:
            yield lambda: given
        else:
            yield partial(
                stack.enter_context, spark_session(f"{config.name}: {stage}", config.spark)
            )


@contextmanager
def redirect_native_stderr() -> Iterator[None]:
    """Give standard error back to the Jupyter server, where a kernel has taken it for its cells.

    Spark's JVM goes on with what it started with.
    """
    try:
        servers_fd = sys.stderr.fileno()  # a kernel's stream knows where it would have gone
    except (AttributeError, OSError):
        servers_fd = _STDERR_FD
    cells_fd = os.dup(_STDERR_FD)
    os.dup2(servers_fd, _STDERR_FD)
    try:
        yield
    finally:
        os.dup2(cells_fd, _STDERR_FD)
        os.close(cells_fd)


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> HTML:
    """A table of texts, to be shown."""
    lines = [_html_row("th", header), *(_html_row("td", row) for row in rows)]
    return HTML(f"<table>{''.join(lines)}</table>")  # type: ignore[no-untyped-call]


def _html_row(tag: str, cells: Sequence[str]) -> str:
    texts = "".join(f'<{tag} style="text-align: left">{html.escape(c)}</{tag}>' for c in cells)
    return f"<tr>{texts}</tr>"


def _yaml_text(value: Any) -> str:
    """A setting as a YAML file would state it."""
    return value if isinstance(value, str) else json.dumps(value)


def _notebook_variable(name: str) -> Any:
    """What the notebook calls so; None where there is nothing."""
    shell = get_ipython()  # type: ignore[no-untyped-call]
    return shell.user_ns.get(name) if shell else None


def _change_to_root() -> None:
    """Leave the folder that the notebook is in, which is where it starts."""
    root = Path.cwd().parent
    if Path.cwd().name == "notebooks" and (root / "conf").is_dir():
        os.chdir(root)
