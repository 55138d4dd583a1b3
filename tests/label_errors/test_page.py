"""The page of the findings: what it says, and that a browser shows it at 390 px."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import browser
from drawn_label_errors import drawn_findings
from halftone.label_errors import page
from halftone.label_errors.pictures import SuspiciousImage
from halftone.report.pictures import embed_picture
from report_pages import HOSTILE, Page

SHOWN = embed_picture(np.zeros((32, 32, 3), np.uint8), 64)


def an_image(path: str, is_confident: bool = True, label: str = "cat") -> SuspiciousImage:
    key = f"/data/images/{path}"
    return SuspiciousImage(key, label, "dog", 0.0625, 0.875, is_confident, SHOWN)


def test_pictures_have_labels_probabilities_and_paths() -> None:
    shown = Page(
        page.render_findings(
            "pets", drawn_findings(), [an_image("a.png"), an_image("b.png", False)]
        )
    )
    words = shown.words()
    assert "About 10 of 50 labels (20.00%) are estimated to be wrong; 9 images are" in words
    assert "7 images of the test split have no out-of-fold prediction" in words
    assert "1. cat → dog6.25% → 87.50% a.png" in words
    assert "2. cat → dog6.25% → 87.50%no confident issue b.png" in words
    assert shown.alts() == ["An image with the label cat, perhaps dog"] * 2
    assert shown.headings() == ["images", "pairs", "classes", "method"]


def test_tables_of_pairs_and_classes() -> None:
    rows = Page(page.render_findings("pets", drawn_findings(), [an_image("a.png")])).rows
    assert rows == [
        ["Label", "Probably", "Estimated", "Issues"],
        ["cat", "dog", "10", "8"],
        ["dog", "owl", "0", "1"],
        ["Label", "Images", "Issues", "Estimated wrong", "Share", "Threshold"],
        ["cat", "30", "8", "10", "33.33%", "0.9000"],
        ["dog", "20", "1", "0", "0.00%", "0.5000"],
        ["owl", "0", "0", "0", "0.00%", "n/a"],
        ["all", "50", "9", "10", "20.00%", ""],
    ]


def test_hostile_names_are_text() -> None:
    text = page.render_findings("pets", drawn_findings(), [an_image("a.png", label=HOSTILE[0])])
    assert "<script>" not in text
    assert HOSTILE[0] in Page(text).text


@pytest.mark.needs("chromium")
def test_a_narrow_window_shows_it_without_scrolling_sideways(tmp_path: Path) -> None:
    images = [an_image(f"{number}/{'long' * 20}.png") for number in range(100)]
    text = page.render_findings("pets", drawn_findings(), images)
    layout = browser.measure_layout(text, 390, tmp_path)
    assert layout == {"beyond": 0, "images": 100, "broken": 0, "sections": 4}
    assert browser.list_page_requests(tmp_path) == []
