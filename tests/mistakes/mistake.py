"""What a row of the table of mistakes is."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Callable, NamedTuple

# Makes the mistake at a site; what it pushes on the stack ends with the test.
Prepare = Callable[[Path, ExitStack], object]


def nothing(site: Path, stack: ExitStack) -> None:
    """The mistake is in the arguments alone."""


class Mistake(NamedTuple):
    """A mistake of a user.

    Attributes:
        did: what the user did; the heading on the page, and the name of the test.
        command: sub-command and arguments, in which {site} is the site's folder. --config is added,
            unless it is there.
        message: all that the command prints to stderr. {site} is as above; a line of argparse with
            the usage is left out.
        meaning: of the message, for the page.
        cure: for the page.
        code: the exit code.
        prepare: makes the mistake at the site, if it is one of files.
        is_late: whether it is only found after Spark or TensorFlow has started, in a process.
    """

    did: str
    command: tuple[str, ...]
    message: str
    meaning: str
    cure: str
    code: int = 2
    prepare: Prepare = nothing
    is_late: bool = False


def write(name: str, content: str) -> Prepare:
    """Write a file at the site, in which {site} is its folder."""

    def prepare(site: Path, _: ExitStack) -> None:
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.replace("{site}", str(site)))

    return prepare


def remove(name: str) -> Prepare:
    """Remove a file of the site."""
    return lambda site, _: (site / name).unlink()
