from __future__ import annotations

import subprocess
import sys

import pytest

from halftone.feed.world import World


def test_single_process_is_a_world_of_size_1() -> None:
    # Without Horovod, which needs a network.
    code = (
        "import sys; from halftone.feed import world; print(world.detect_world()); "
        "assert 'horovod' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stdout == "World(rank=0, size=1, local_rank=0, local_size=1)\n"


def test_rank_0_is_first() -> None:
    assert World().is_first
    assert not World(rank=1, size=2).is_first


@pytest.mark.parametrize("numbers", [(2, 2, 0, 1), (-1, 2, 0, 1), (0, 2, 1, 1)])
def test_rank_out_of_range_is_refused(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="rank or local_rank out of range"):
        World(*numbers)
