"""Renders pages from templates in a package, with common templates, filters and values."""

from __future__ import annotations

import pkgutil
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

import halftone
from halftone import printable
from halftone.report.confusions import heat_ramps
from halftone.report.words import (
    count,
    duration,
    image_count,
    mebibytes,
    percent,
    ratio,
    signed_difference,
    utc_time,
)

_FILTERS = (signed_difference, count, duration, image_count, utc_time, percent, ratio, mebibytes)
_REPORT_PACKAGE = __name__.rpartition(".")[0]


def render_page(template: str, package: str = _REPORT_PACKAGE, /, **values: Any) -> str:
    """Render a template of `package` with `values`, which override the default values."""
    defaults = {"halftone_version": halftone.__version__, "ramps": heat_ramps()}
    return _create_environment(package).get_template(template).render({**defaults, **values})


def _create_environment(package: str) -> Environment:
    """Return an environment that looks up templates in `package`, then in halftone.report."""

    def load_source(name: str) -> str:
        for candidate in (package, _REPORT_PACKAGE):
            try:
                source = pkgutil.get_data(candidate, name)
            except OSError:
                continue
            if source is not None:
                return source.decode("utf-8")
        raise AssertionError(f"{name} is missing from the package")

    environment = Environment(
        # Jinja's PackageLoader cannot always read from a zip on sys.path.
        loader=FunctionLoader(load_source),
        autoescape=True,
        finalize=_escape_unprintable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    return environment


def _escape_unprintable(value: Any) -> Any:
    """Escape what does not print in a text; Markup is what a macro made of such texts."""
    return printable.escape(value) if type(value) is str else value
