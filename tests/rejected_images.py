"""Decode images that must be rejected."""

from __future__ import annotations

import pytest

from halftone.config import PixelSpec
from halftone.images import REJECT_REASONS, ImageRejectedError, decode


def rejection(data: bytes, spec: PixelSpec) -> tuple[str, str]:
    """Return the reason and the detail with which `data` is rejected."""
    with pytest.raises(ImageRejectedError) as caught:
        decode(data, spec)
    assert caught.value.reason in REJECT_REASONS
    return caught.value.reason, caught.value.detail
