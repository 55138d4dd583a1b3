from __future__ import annotations

import pytest

from halftone import progress


@pytest.mark.parametrize(
    ("num_done", "total", "secs", "text"),
    [
        (1200, 4800, 4.0, "decode: 1,200 of 4,800 images, 300/s, 0:12 left"),
        (4800, 4800, 16.0, "decode: 4,800 of 4,800 images, 300/s"),
        (0, 10, 1.0, "decode: 0 of 10 images, 0/s"),
        (0, 0, 0.0, "decode: 0 of 0 images, 0/s"),
    ],
)
def test_format_progress(num_done: int, total: int, secs: float, text: str) -> None:
    assert progress.format_progress("decode", num_done, total, "images", secs) == text


@pytest.mark.parametrize(
    ("secs", "text"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3600, "1:00:00"), (7384, "2:03:04")],
)
def test_format_duration(secs: float, text: str) -> None:
    assert progress.format_duration(secs) == text


def test_the_last_line_is_always_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.report_progress(lambda: 0, "decode", 12, "images"):
        pass
    output = capsys.readouterr().err
    assert output.startswith("decode: 12 of 12 images, ")
    assert output.endswith("/s, 0:00\n")


def test_a_failure_is_not_reported_as_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), progress.report_progress(lambda: 0, "decode", 12, "images"):
        raise KeyError
    assert capsys.readouterr().err == ""


def test_step_progress_is_printed_at_intervals_and_only_if_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = progress.StepProgress("epoch 1/2", num_steps=4, rows_per_step=32, is_shown=True)
    silent = progress.StepProgress("epoch 1/2", num_steps=4, rows_per_step=32, is_shown=False)
    for secs in (12.0, 20.0, 12.0, 4.0):
        now[0] += secs
        shown.advance(lambda: {"loss": 0.25})
        silent.advance()
    assert capsys.readouterr().err == (
        "epoch 1/2: step 2 of 4, loss 0.2500, 2 images/s, 0:32 left\n"
    )


def test_steps_of_an_earlier_run_do_not_count_for_the_speed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = progress.StepProgress(
        "epoch 1/2", num_steps=40, rows_per_step=32, is_shown=True, num_done=30
    )
    now[0] += 32.0
    shown.advance()
    assert capsys.readouterr().err == "epoch 1/2: step 31 of 40, 1 images/s, 4:48 left\n"
