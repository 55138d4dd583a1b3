from __future__ import annotations

import pytest

from halftone.system import exit_status


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, ""),
        (1, "ended with exit code 1"),
        (-9, "was killed by signal 9"),
        (137, "was killed by signal 9"),  # as a shell says it
        (-11, "was killed by signal 11"),
        (128, "ended with exit code 128"),
    ],
)
def test_an_exit_code_in_words(code: int, text: str) -> None:
    assert exit_status.describe_exit(code) == text
    assert exit_status.describe_exit(code, exit_status.count_oom_kills()) == text


def test_the_kernel_counts_whom_it_kills_for_memory() -> None:
    before = exit_status.count_oom_kills() - 1  # as if one had been killed since
    assert exit_status.describe_exit(-9, before) == "was killed by signal 9, as memory ran out"
    assert exit_status.describe_exit(-15, before) == "was killed by signal 15"
