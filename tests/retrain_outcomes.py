"""Outcomes of retraining runs, as the journal holds them."""

from typing import Any, Optional

from halftone.retrain.state import history


def outcome(
    run_number: int,
    result: str,
    champion: Optional[str] = None,
    by: str = "night",
    **overrides: Any,
) -> dict[str, Any]:
    fields = {"at": f"2026-03-{run_number:02d}T02:11:40+00:00", **overrides}
    if by == "night":
        fields["basis"] = f"basis-{run_number}"
    reason = f"reason {run_number}"
    return history.build_outcome(run_number, by, result, reason, champion, fields)
