"""Warnings of Python, as records with the name of the library that issued them."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Optional, TextIO, Union

# Folders that hold a library each.
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")


def route_warnings() -> None:
    """Log the warnings of this process from now on, instead of printing them."""
    warnings.showwarning = _log_warning


def library_of(filename: str) -> str:
    """Return the library that a file is of, such as petastorm; python if it is of none."""
    parts = Path(filename).parts
    for folder in _PACKAGE_FOLDERS:
        if folder in parts[:-1]:
            return parts[parts.index(folder) + 1].removesuffix(".py")
    return "python"


def _log_warning(
    message: Union[Warning, str],
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Optional[TextIO] = None,
    line: Optional[str] = None,
) -> None:
    text = " ".join(str(message).split())
    logging.getLogger(library_of(filename)).warning("%s: %s", category.__name__, text)
