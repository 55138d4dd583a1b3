"""Outcomes of retraining runs, as the journal holds them."""

from typing import Any, Optional

from halftone.retrain.state import history


def outcome(
    night: int, kind: str, champion: Optional[str] = None, by: str = "night", **more: Any
) -> dict[str, Any]:
    own = {"at": f"2026-03-{night:02d}T02:11:40+00:00", **more}
    if by == "night":
        own["basis"] = f"basis-{night}"
    return history.build_outcome(night, by, kind, f"reason {night}", champion, own)
