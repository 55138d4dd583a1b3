from __future__ import annotations

import re
from typing import Any

from halftone.retrain import page
from report_pages import svg
from retrain_outcomes import outcome


def measures(champion: float, challenger: float) -> dict[str, Any]:
    return {
        side: {"accuracy": value, "f1": value - 0.01, "loss": 0.3}
        for side, value in (("champion", champion), ("challenger", challenger))
        if value
    }


PAST = [
    outcome(1, "promoted", "1", challenger="1", measures=measures(0, 0.8)),
    outcome(2, "nothing", "1"),
    outcome(
        3, "kept", "1", champion_before="1", challenger="2", measures=measures(0.81, 0.82),
        drift={"level": "warn", "reason": "pixel mean (PSI 0.12)"},
    ),
    outcome(4, "promoted", "3", champion_before="1", challenger="3", measures=measures(0.8, 0.9)),
    outcome(5, "refused", "3", champion_before="3", challenger="4", measures=measures(0.91, 0.5)),
]  # fmt: skip


def test_champion_line() -> None:
    assert page.champion_line(PAST, "accuracy") == [(1, 0.8), (3, 0.81), (4, 0.9), (5, 0.91)]
    assert page.champion_line(PAST, "f1")[0] == (1, 0.79)
    assert page.champion_line(PAST[1:2], "accuracy") == []


def test_alternative_text_of_the_figure() -> None:
    figure = page.champion_figure(PAST, "accuracy", 0.7)
    assert figure is not None
    assert figure.alt == (
        "Accuracy of the champion: 0.8000 in run 1, 0.9100 in run 5; 4 challengers were "
        "compared, 2 of them promoted."
    )
    assert page.champion_figure(PAST[1:2], "accuracy", 0.7) is None


def test_the_figure_shows_a_challenger_that_was_refused_before_the_first_champion() -> None:
    refused = outcome(1, "refused", None, challenger="1", measures=measures(0, 0.4))
    first = outcome(2, "promoted", "2", challenger="2", measures=measures(0, 0.8))
    alone = page.champion_figure([refused], "accuracy", 0.7)
    assert alone is not None
    assert alone.alt == (
        "Accuracy of the champion: none yet; 1 challenger was compared, 0 of them promoted."
    )
    figure = page.champion_figure([refused, first], "accuracy", 0.7)
    assert figure is not None
    drawing = svg(figure.light)
    assert re.findall(r">(\d)</text>", drawing)[:2] == ["1", "2"]  # the ticks of the x axis
    # The marker of the refused one lies within the axes, in the colour of a warning.
    axes = re.search(r'<clipPath id="\w+">\s*<rect x="([\d.]+)"', drawing)
    marker = re.search(r'<use [^>]*x="([\d.]+)" y="[\d.]+" style="fill: #d55e00', drawing)
    assert axes is not None
    assert marker is not None
    assert float(marker[1]) > float(axes[1])


def test_page() -> None:
    text = page.render_page("faces", PAST, "accuracy", 0.7)
    assert text == page.render_page("faces", PAST, "accuracy", 0.7)
    assert "<title>faces: retraining</title>" in text
    assert "The champion is version <strong>3</strong>, promoted 2026-03-04 02:11 UTC" in text
    rows = re.findall(r'<th scope="row">(\d)</th>', text)
    assert rows == ["5", "4", "3", "2", "1"]
    assert "reason 3</bdi>; drift: pixel mean (PSI 0.12)" in text
    assert text.count('class="chosen"') == 2
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)


def test_page_without_a_champion_escapes_html() -> None:
    past = [outcome(1, "refused", None, reason="<script>alert(1)</script>\x1b")]
    text = page.render_page("<b>", past, "accuracy", 0.0)
    assert "There is no champion yet." in text
    assert "<script>" not in text
    assert r"&lt;/script&gt;\x1b</bdi>" in text
    assert "<title>&lt;b&gt;: retraining</title>" in text
