"""What of a benchmark is to run, as the option --only says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Protocol, TypeVar


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Choice = TypeVar("_Choice", bound=_Named)


def chosen(only: Optional[str], every: Sequence[_Choice]) -> list[_Choice]:
    """Return those whose names `only` lists, in the order of `every`; all where it is None."""
    known = [one.name for one in every]
    names = only.split(",") if only else known
    strange = sorted(set(names) - set(known))
    if strange:
        raise SystemExit(f"error: --only {', '.join(strange)}: there are {', '.join(known)}")
    return [one for one in every if one.name in names]
