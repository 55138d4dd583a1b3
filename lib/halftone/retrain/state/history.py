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
HELD_BY_DRIFT = "held"  # by a drift of the new images; nothing was trained
NOTHING_NEW = "nothing"  # new, and nothing changed
FAILED = "failed"
DRY_RUN = "dry-run"
_GATE_OUTCOMES = (PROMOTED, KEPT, REFUSED)

# How a champion came to be one.
BY_RUN, BY_HAND, BY_ROLLBACK = "night", "hand", "rollback"

RetrainOutcome = dict[str, Any]


def build_outcome(
    run_number: int,
    kind: str,
    result: str,
    reason: str,
    champion: Optional[str],
    overrides: RetrainOutcome,
) -> RetrainOutcome:
    """All that is told of a night.

    Args:
        kind: how a champion came to be one, see above.
        champion: behind it.
        more: what this night has, of that which is else nothing.
    """
    return {
        "night": run_number,
        "kind": kind,
        "outcome": result,
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
        **overrides,
    }


def read_outcomes(root: str) -> list[RetrainOutcome]:
    """Of all nights that have one, in order."""
    found = (Journal(root, night).read(OUTCOME) for night in journal.list_runs(root))
    return [one for one in found if one is not None]


def champion_lineage(outcomes: Sequence[RetrainOutcome]) -> list[str]:
    """The versions that led to the champion of now, which is the last; a rollback goes back."""
    line: list[str] = []
    for one in outcomes:
        if one["outcome"] != PROMOTED:
            continue
        if one["kind"] == BY_ROLLBACK:
            line.pop()
        elif line[-1:] != [one["champion"]]:  # else a rollback would change nothing
            line.append(one["champion"])
    return line


def previous_champion(outcomes: Sequence[RetrainOutcome], champion: Optional[str]) -> str:
    """The version to which a rollback goes.

    Raises:
        InputError: there is none, or the champion of now was made one elsewhere.
    """
    line = champion_lineage(outcomes)
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


def last_decided_outcome(outcomes: Sequence[RetrainOutcome]) -> Optional[RetrainOutcome]:
    """Of the last night whose training was judged."""
    judged = (one for one in reversed(outcomes) if one["outcome"] in _GATE_OUTCOMES)
    return next((one for one in judged if one["kind"] == BY_RUN), None)


def last_champion(outcomes: Sequence[RetrainOutcome]) -> Optional[str]:
    """The champion when the last night ended."""
    return outcomes[-1]["champion"] if outcomes else None


def format_history(outcomes: Sequence[RetrainOutcome]) -> str:
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
            _format_scores(one, "champion"),
            _format_scores(one, "challenger"),
            one["outcome"] if one["kind"] == BY_RUN else f"{one['outcome']} by {one['kind']}",
        ]
        for one in outcomes
    ]
    reasons = ["why", "---", *(one["reason"] for one in outcomes)]
    lines = summary.format_table(header, rows).split("\n")
    width = max(map(len, lines))
    told = [f"{line.ljust(width)}  {why}" for line, why in zip(lines, reasons)]
    champion = last_champion(outcomes)
    return "\n".join([*told, "", f"champion: {f'version {champion}' if champion else 'none yet'}"])


def _format_scores(outcome: RetrainOutcome, side: str) -> str:
    """Such as `3: 0.9512, 0.9488`: the version, its accuracy and its F1."""
    number = outcome["champion_before"] if side == "champion" else outcome["challenger"]
    measures = outcome["measures"].get(side)
    if number is None:
        return ""
    if not measures:
        return str(number)
    return f"{number}: {measures['accuracy']:.4f}, {measures['f1']:.4f}"
