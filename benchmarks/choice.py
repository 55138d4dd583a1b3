"""Select what a benchmark runs, by the option --only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Protocol, TypeVar


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Choice = TypeVar("_Choice", bound=_Named)


def select(only: Optional[str], choices: Sequence[_Choice]) -> list[_Choice]:
    """Return the choices that `only` names, in the order of `choices`; all if it is None.

    Raises:
        SystemExit: `only` has an unknown name.
    """
    known = [choice.name for choice in choices]
    names = only.split(",") if only else known
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SystemExit(f"error: --only {', '.join(unknown)}: choose from {', '.join(known)}")
    return [choice for choice in choices if choice.name in names]
