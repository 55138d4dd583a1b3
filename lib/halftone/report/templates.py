"""Where pages are made: templates beside the modules of a package, and what all of them know."""

from __future__ import annotations

import pkgutil
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

import halftone
from halftone.report.confusions import ramps
from halftone.report.words import change, count, duration, images, moment, percent, ratio, size

_FILTERS = (change, count, duration, images, moment, percent, ratio, size)
_OWN = __name__.rpartition(".")[0]


def page(template: str, package: str = _OWN, /, **values: Any) -> str:
    """Fill in a page with `values`; it is by this Halftone unless they say otherwise."""
    known = {"halftone_version": halftone.__version__, "ramps": ramps()}
    return _environment(package).get_template(template).render({**known, **values})


def _environment(package: str) -> Environment:
    """Find templates in `package`, and what it has not in the report's."""

    def source(name: str) -> str:
        for place in (package, _OWN):
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
