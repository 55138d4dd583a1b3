"""What came of each night, and the line of champions that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Optional

from halftone import summary
from halftone.errors import InputError
from halftone.retrain.state import journal
from halftone.retrain.state.journal import OUTCOME, Journal

# What a night, or a word of the user's, ends with.
PROMOTED, KEPT, REFUSED = "promoted", "kept", "refused"
HELD = "held"  # by a drift of the new images; nothing was trained
NOTHING = "nothing"  # new, and nothing changed
FAILED = "failed"
DRY_RUN = "dry-run"
_DECIDED = (PROMOTED, KEPT, REFUSED)

# How a champion came to be one.
BY_NIGHT, BY_HAND, BY_ROLLBACK = "night", "hand", "rollback"

Outcome = dict[str, Any]


def outcome(
    night: int, kind: str, what: str, reason: str, champion: Optional[str], more: Outcome
) -> Outcome:
    """All that is told of a night.

    Args:
        kind: how a champion came to be one, see above.
        champion: behind it.
        more: what this night has, of that which is else nothing.
    """
    return {
        "night": night,
        "kind": kind,
        "outcome": what,
        "reason": reason,
        "begun_at": None,
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "new_images": 0,
        "new_rejects": 0,
        "rows": None,
        "dataset_version": None,
        "basis": None,
        "champion_before": None,
        "challenger": None,
        "champion": champion,
        "measures": {},
        "drift": {},
        **more,
    }


def outcomes(root: str) -> list[Outcome]:
    """Of all nights that have one, in order."""
    found = (Journal(root, night).read(OUTCOME) for night in journal.nights(root))
    return [one for one in found if one is not None]


def champions(past: Sequence[Outcome]) -> list[str]:
    """The versions that led to the champion of now, which is the last; a rollback goes back."""
    line: list[str] = []
    for one in past:
        if one["outcome"] != PROMOTED:
            continue
        if one["kind"] == BY_ROLLBACK:
            line.pop()
        elif line[-1:] != [one["champion"]]:  # else a rollback would change nothing
            line.append(one["champion"])
    return line


def before_champion(past: Sequence[Outcome], champion: Optional[str]) -> str:
    """The version to which a rollback goes.

    Raises:
        InputError: there is none, or the champion of now was made one elsewhere.
    """
    line = champions(past)
    if not line or line[-1] != champion:
        ours = f"version {line[-1]}" if line else "none"
        raise InputError(
            f"--rollback: the champion is {f'version {champion}' if champion else 'none'}, the "
            f"last one of the history {ours}; say which shall be it with --promote VERSION"
        )
    if len(line) < 2:
        raise InputError(
            f"--rollback: version {champion} is the first champion; there is none before it"
        )
    return line[-2]


def last_decided(past: Sequence[Outcome]) -> Optional[Outcome]:
    """Of the last night whose training was judged."""
    judged = (one for one in reversed(past) if one["outcome"] in _DECIDED)
    return next((one for one in judged if one["kind"] == BY_NIGHT), None)


def last_champion(past: Sequence[Outcome]) -> Optional[str]:
    """The champion when the last night ended."""
    return past[-1]["champion"] if past else None


def text(past: Sequence[Outcome]) -> str:
    """What --history prints: a table, and the champion of now as far as it knows."""
    header = ["night", "ended (UTC)", "new", "rejects"]
    header += [f"{side}: accuracy, F1" for side in ("champion", "challenger")]
    header.append("outcome")
    rows = [
        [
            str(one["night"]),
            one["at"][:16].replace("T", " "),
            f"{one['new_images']:,}",
            f"{one['new_rejects']:,}",
            _scored(one, "champion"),
            _scored(one, "challenger"),
            one["outcome"] if one["kind"] == BY_NIGHT else f"{one['outcome']} by {one['kind']}",
        ]
        for one in past
    ]
    reasons = ["why", "---", *(one["reason"] for one in past)]
    lines = summary.table(header, rows).split("\n")
    width = max(map(len, lines))
    told = [f"{line.ljust(width)}  {why}" for line, why in zip(lines, reasons)]
    champion = last_champion(past)
    return "\n".join([*told, "", f"champion: {f'version {champion}' if champion else 'none yet'}"])


def _scored(one: Outcome, side: str) -> str:
    """Such as `3: 0.9512, 0.9488`: the version, its accuracy and its F1."""
    number = one["champion_before"] if side == "champion" else one["challenger"]
    measures = one["measures"].get(side)
    if number is None:
        return ""
    if not measures:
        return str(number)
    return f"{number}: {measures['accuracy']:.4f}, {measures['f1']:.4f}"
