"""The modules of Halftone that travel with a model: those that prediction needs.

Halftone is on no package index, so MLflow's clients cannot install it.
"""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Optional

import halftone

LOADER_MODULE = "halftone.serving.pyfunc_model"
_PACKAGE = halftone.__name__
_INIT = "__init__"
# Added to packages that travel. MLflow puts them in front of an installed Halftone, whose other
# modules could not be imported any more in the same process.
_EXTENDED_PATH = """
# Modules that did not travel with the model are those of an installed Halftone, if there is one.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
"""


def find_modules(first: str = LOADER_MODULE) -> dict[str, str]:
    """Return the sources of a module and of all modules of Halftone that it needs, by file path.

    A module needs what it imports, also inside of functions, and the packages that it is in. Paths
    are like halftone/images/__init__.py.
    """
    sources: dict[str, str] = {}
    seen: set[str] = set()
    waiting = [first]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        found = _find_source(name)
        if found is not None:  # else the name is not of a module but of something in one
            path, sources[path] = found
            waiting += [parent for parent in _parents(name) if parent not in seen]
            waiting += [each for each in imported_names(sources[path]) if _is_own(each)]
    return dict(sorted(sources.items()))


def write_code(folder: Path) -> Path:
    """Write the modules below `folder`; return the folder of the package."""
    for name, source in find_modules().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        extra = _EXTENDED_PATH if path.stem == _INIT else ""
        path.write_text(source + extra, encoding="utf-8")
    return folder / _PACKAGE


@cache
def imported_names(source: str) -> frozenset[str]:
    """Return what a module imports; of `from a import b`, both `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def imported_libraries(sources: Iterable[str]) -> set[str]:
    """Return the first parts of the names of all modules that are imported from elsewhere."""
    names = {name for source in sources for name in imported_names(source)}
    return {name.partition(".")[0] for name in names if not _is_own(name)}


def _is_own(name: str) -> bool:
    return name.partition(".")[0] == _PACKAGE


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _find_source(name: str) -> Optional[tuple[str, str]]:
    """Return the path and the source of a module; None if there is no such module."""
    below = name.split(".")[1:]
    for parts in (below, [*below, _INIT]):
        path = "/".join(parts) + ".py"
        try:
            # Through the loader: the package may be in a zip archive.
            data = pkgutil.get_data(_PACKAGE, path) if parts else None
        except OSError:
            continue
        if data is not None:
            return f"{_PACKAGE}/{path}", data.decode()
    return None
