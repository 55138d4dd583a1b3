"""The section of slices."""

from __future__ import annotations

from halftone.metrics.model import SliceScores
from halftone.metrics.slices import SliceCounts, build_column
from report_pages import FACES, HOSTILE, full_metrics, read, some_slices


def test_the_worst_slice_is_the_first_row() -> None:
    page = read(FACES, metrics=full_metrics(FACES, slices=some_slices(FACES)))
    assert "slices" in page.headings()
    start = page.rows.index(["camera", "Accuracy", "95% interval", "F1", "Images", "Lowest recall"])
    assert page.rows[start + 1 : start + 4] == [
        ["v0", "0.1000", "0.0552 to 0.1744", "0.2500", "100", "comics 0.1250 of 40"],
        ["v1", "0.1100", "0.0625 to 0.1863", "0.2500", "100", "comics 0.1250 of 40"],
        [
            *("(not in the catalogue)", "1.0000", "0.7225 to 1.0000", "1.0000", "10"),
            "faces 1.0000 of 10",
        ],
    ]
    assert "By camera: 2 values" in page.words()
    assert "#slices" in [link["href"] for link in page.all("a")]


def test_of_many_slices_the_worst_are_shown() -> None:
    page = read(FACES, metrics=full_metrics(FACES, slices=some_slices(FACES, 80)))
    assert "By camera: 80 values; the 50 worst of 81 slices, metrics.json has all" in page.words()
    shown = [row[0] for row in page.rows if row and row[0].startswith("v")]
    assert shown == [f"v{number}" for number in range(50)]


def test_without_slices_there_is_no_section() -> None:
    assert "slices" not in read(FACES, metrics=full_metrics(FACES)).headings()


def test_names_of_values_are_escaped() -> None:
    value = SliceCounts("value", HOSTILE[0], 4, 1, 0.25, HOSTILE[1], 0.0, 3)
    column = build_column(HOSTILE[0], [value], 1)
    scores = SliceScores(catalogue="/c.csv", digest="d", rows=4, columns=[column])
    page = read(FACES, metrics=full_metrics(FACES, slices=scores))
    assert not page.all("script")
    assert page.text.count(HOSTILE[0]) == 3  # caption, header and row
