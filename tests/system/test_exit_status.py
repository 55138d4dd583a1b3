from __future__ import annotations

import pytest

from halftone.system import exit_status


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, ""),
        (1, "ended with exit code 1"),
        (-9, "was killed by signal 9"),
        (137, "was killed by signal 9"),  # the exit code of a shell
        (-11, "was killed by signal 11"),
        (128, "ended with exit code 128"),
    ],
)
def test_describe_exit(code: int, text: str) -> None:
    assert exit_status.describe_exit(code) == text
    assert exit_status.describe_exit(code, exit_status.count_oom_kills()) == text


def test_out_of_memory_kills_are_detected() -> None:
    before = exit_status.count_oom_kills() - 1  # as if a process had been killed since
    assert exit_status.describe_exit(-9, before) == "was killed by signal 9, out of memory"
    assert exit_status.describe_exit(-15, before) == "was killed by signal 15"
