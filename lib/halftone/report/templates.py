"""Where pages are made: templates beside the modules of a package, and what all of them know."""

from __future__ import annotations

import pkgutil
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

import halftone
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
    """Fill in a page with `values`; it is by this Halftone unless they say otherwise."""
    known = {"halftone_version": halftone.__version__, "ramps": heat_ramps()}
    return _create_environment(package).get_template(template).render({**known, **values})


def _create_environment(package: str) -> Environment:
    """Find templates in `package`, and what it has not in the report's."""

    def source(name: str) -> str:
        for place in (package, _REPORT_PACKAGE):
            try:
                found = pkgutil.get_data(place, name)
            except OSError:
                continue
            if found is not None:
                return found.decode("utf-8")
        raise AssertionError(f"{name} is missing from the package")

    made = Environment(
        # Not Jinja's own loader for packages: it cannot always read from a zip on sys.path.
        loader=FunctionLoader(source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({each.__name__: each for each in _FILTERS})
    return made
