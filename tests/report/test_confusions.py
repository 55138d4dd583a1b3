"""The confusion matrix, as a table or as a figure."""

from __future__ import annotations

import re

import pytest

from halftone.report import plots
from report_pages import FACES, HUNDRED, TEN, Page, a_page, old_metrics, read, spread


def test_a_matrix_of_two() -> None:
    page = read(FACES, metrics=old_metrics([[193, 7], [3, 197]], FACES))
    assert ["comics", "193", "7"] in page.rows
    assert ["faces", "3", "197"] in page.rows
    assert "Most frequent confusions" not in page.text


def test_a_matrix_of_ten_is_a_table_with_shades() -> None:
    text = a_page(TEN)
    assert ["class 0", "180", "20", *["0"] * 8] in Page(text).rows
    cells = re.findall(r'<td class="(heat[^"]*)">(\d+)</td>', text)
    assert set(cells) == {("heat8 right", "180"), ("heat1", "20"), ("heat0", "0")}
    assert "Heat map" not in text


def test_a_matrix_of_a_hundred_is_a_figure_with_an_alternative_text() -> None:
    text = a_page(HUNDRED)
    assert "heat8 right" not in text
    assert any("number of the true class" in svg for svg in Page(text).svgs())
    assert (
        "Heat map of the confusion matrix of 100 classes, true classes downwards and predicted "
        "classes to the right: 18,000 of 20,000 images are on the diagonal, which is correct. The "
        "largest entries beside it are in the table of confusions."
    ) in Page(text).alts()


@pytest.mark.parametrize(
    ("labels", "first", "following"),
    [(TEN, "class 0", "class 1"), (HUNDRED, "class 00", "class 01")],
)
def test_the_largest_confusions(labels: list[str], first: str, following: str) -> None:
    page = read(labels)
    assert [first, following, "20", "10.00%"] in page.rows
    assert sum(row[2:] == ["20", "10.00%"] for row in page.rows) == 10


def test_a_class_without_rows_is_a_row_of_zeros() -> None:
    page = read(TEN, metrics=old_metrics([[0] * 10, *spread(10)[1:]], TEN))
    assert ["class 0", *["0"] * 10] in page.rows


def test_text_has_enough_contrast_on_every_shade() -> None:
    for theme in (plots.LIGHT, plots.DARK):
        for background, ink in plots.heat_ramp(theme, 10):
            paper = [int(background[at : at + 2], 16) / 255 for at in (1, 3, 5)]
            light = plots.luminance(paper)
            ratio = (light + 0.05) / 0.05 if ink == "#000" else 1.05 / (light + 0.05)
            assert ratio >= 4.5, (background, ink)
