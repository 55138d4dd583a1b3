from __future__ import annotations

from pathlib import Path

import pytest

from halftone import storage
from halftone.launch import rank_logs


def test_each_attempt_is_appended_to_the_log_of_each_rank(tmp_path: Path) -> None:
    output = str(tmp_path / "model")
    for attempt in (b"1", b"2"):
        with rank_logs.open_logs(output, 2) as logs:
            for rank, log in enumerate(logs):
                log.write(b"attempt %s of rank %d\n" % (attempt, rank))
            # The log can be read while the attempt runs.
            assert (tmp_path / "model/logs/rank-1.log").read_bytes().endswith(b"of rank 1\n")
    assert (tmp_path / "model/logs/rank-0.log").read_text() == (
        "attempt 1 of rank 0\nattempt 2 of rank 0\n"
    )
    assert rank_logs.log_url(output, 0) == f"{output}/logs/rank-0.log"


def test_logs_are_uploaded_when_an_attempt_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    output = "memory://rank-logs/model"
    with rank_logs.open_logs(output, 1) as logs:
        logs[0].write(b"one\n")

    def fail() -> None:
        with rank_logs.open_logs(output, 1) as logs:
            logs[0].write(b"two\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert storage.read_bytes(f"{output}/logs/rank-0.log") == b"one\ntwo\n"
    assert list(tmp_path.iterdir()) == []
