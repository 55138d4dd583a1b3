"""The outcomes of all runs, and the lineage of champions that follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any, Optional

from halftone import measures, summary
from halftone.errors import InputError
from halftone.retrain.state import journal
from halftone.retrain.state.journal import OUTCOME, Journal

# Results of a run or of a manual promotion.
PROMOTED, KEPT, REFUSED = "promoted", "kept", "refused"
HELD_BY_DRIFT = "held"  # new images have drifted; nothing was trained
NOTHING_NEW = "nothing"  # no new rows and no changed settings
FAILED = "failed"
DRY_RUN = "dry-run"
_GATE_OUTCOMES = (PROMOTED, KEPT, REFUSED)

# Kinds of outcomes: what made the decision.
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
    """Return the outcome of a run, as the journal, webhook and outcome file have it.

    Args:
        run_number: number of the run.
        kind: BY_RUN, BY_HAND or BY_ROLLBACK.
        result: PROMOTED, KEPT, ...
        reason: why, for users.
        champion: version number of the champion after the run.
        overrides: fields that override the defaults below.
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
    """Return the outcomes of all runs that have one, in order."""
    outcomes = (Journal(root, number).read(OUTCOME) for number in journal.list_runs(root))
    return [outcome for outcome in outcomes if outcome is not None]


@contextmanager
def measured(root: str) -> Iterator[None]:
    """Set the measures of the history, for monitoring, before and after the body."""

    _try_measure(root)
    try:
        yield
    finally:
        _try_measure(root)


def _try_measure(root: str) -> None:
    if measures.is_sent():
        with suppress(Exception):  # such as a store that cannot be reached; the run will find out
            measure_outcomes(read_outcomes(root))


def measure_outcomes(outcomes: Sequence[RetrainOutcome]) -> None:
    """Set the measures of the history of runs.

    Args:
        outcomes: of all runs, in order.
    """
    for outcome in outcomes:
        secs = datetime.fromisoformat(outcome["at"]).timestamp()
        if outcome["kind"] == BY_RUN:
            measures.set_value(measures.RETRAIN_LAST_RUN, secs, outcome["outcome"])
            if outcome["outcome"] != FAILED:
                measures.set_value(measures.RETRAIN_LAST_SUCCESS, secs)
    champion = last_champion(outcomes)
    if champion is not None:
        measures.set_value(measures.RETRAIN_CHAMPION, float(champion))


def champion_lineage(outcomes: Sequence[RetrainOutcome]) -> list[str]:
    """Return the versions that led to the current champion, which is the last item.

    A rollback removes the last item.
    """
    lineage: list[str] = []
    for outcome in outcomes:
        if outcome["outcome"] != PROMOTED:
            continue
        if outcome["kind"] == BY_ROLLBACK:
            lineage.pop()
        elif lineage[-1:] != [outcome["champion"]]:  # a duplicate would make a rollback a no-op
            lineage.append(outcome["champion"])
    return lineage


def previous_champion(outcomes: Sequence[RetrainOutcome], champion: Optional[str]) -> str:
    """Return the version that a rollback promotes.

    Raises:
        InputError: there is no previous champion, or the alias was changed outside of retraining.
    """
    lineage = champion_lineage(outcomes)
    if not lineage or lineage[-1] != champion:
        last = f"version {lineage[-1]}" if lineage else "none"
        raise InputError(
            f"--rollback: the champion is {f'version {champion}' if champion else 'none'}, but the "
            f"last one in the history is {last}; choose a version with --promote VERSION"
        )
    if len(lineage) < 2:
        raise InputError(
            f"--rollback: version {champion} is the first champion; there is none before it"
        )
    return lineage[-2]


def last_decided_outcome(outcomes: Sequence[RetrainOutcome]) -> Optional[RetrainOutcome]:
    """Return the outcome of the last run whose challenger reached the gate."""
    for outcome in reversed(outcomes):
        if outcome["outcome"] in _GATE_OUTCOMES and outcome["kind"] == BY_RUN:
            return outcome
    return None


def last_champion(outcomes: Sequence[RetrainOutcome]) -> Optional[str]:
    """Return the champion at the end of the last run."""
    return outcomes[-1]["champion"] if outcomes else None


def format_history(outcomes: Sequence[RetrainOutcome]) -> str:
    """Return the output of --history: a table of runs, and the last champion."""
    header = ["run", "ended (UTC)", "new", "rejects"]
    header += [f"{side}: accuracy, F1" for side in ("champion", "challenger")]
    header.append("outcome")
    rows = [
        [
            str(outcome["night"]),
            outcome["at"][:16].replace("T", " "),
            f"{outcome['new_images']:,}",
            f"{outcome['new_rejects']:,}",
            _format_scores(outcome, "champion"),
            _format_scores(outcome, "challenger"),
            outcome["outcome"] + ("" if outcome["kind"] == BY_RUN else f" by {outcome['kind']}"),
        ]
        for outcome in outcomes
    ]
    table = summary.format_table(header, rows).split("\n")
    reasons = ["reason", "---", *(outcome["reason"] for outcome in outcomes)]
    width = max(map(len, table))
    lines = [f"{line.ljust(width)}  {reason}" for line, reason in zip(table, reasons)]
    champion = last_champion(outcomes)
    return "\n".join([*lines, "", f"champion: {f'version {champion}' if champion else 'none yet'}"])


def _format_scores(outcome: RetrainOutcome, side: str) -> str:
    """Format a version with its accuracy and F1, such as `3: 0.9512, 0.9488`."""
    number = outcome["champion_before"] if side == "champion" else outcome["challenger"]
    measures = outcome["measures"].get(side)
    if number is None:
        return ""
    if not measures:
        return str(number)
    return f"{number}: {measures['accuracy']:.4f}, {measures['f1']:.4f}"
