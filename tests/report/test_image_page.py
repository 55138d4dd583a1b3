"""The page of scored raw images: counts, pictures, rejects, metrics; in a browser, too."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import browser
from halftone.metrics.model import ImageScores, Metrics
from halftone.report import HeatMaps, ReportReject
from halftone.report.image_page import ImageReportInputs, ReportPicture, render_image_report
from report_pages import FACES, HOSTILE, TEN, Page, a_card, full_metrics, noise

ROOT = "/data/new"
CONFIDENCES = [0] * 30 + [1, 0, 0, 2, 0, 3, 4, 0, 0, 10]


def known(labels: list[str], rows: int) -> Metrics:
    content = full_metrics(labels, rows=rows).to_json()
    return Metrics.model_validate({name: content[name] for name in Metrics.model_fields})


def some_scores(labels: list[str], **changes: Any) -> ImageScores:
    predicted = {label: 12 - 3 * number for number, label in enumerate(labels[:3])}
    rows = sum(predicted.values())
    content = {
        "run": "r",
        "images": ROOT,
        "inputs": rows + 3,
        "scored_now": 15,
        "rows": rows,
        "rejects": 3,
        "rejects_by_reason": {"damaged": 1, "empty": 2},
        "ignored": {".txt": 4},
        "predicted": {**dict.fromkeys(labels, 0), **predicted},
        "labelled": 0,
        "metrics": None,
        "model_version": "v1",
        "predictions": ["predictions/r/part-000000.parquet"],
        "rejects_files": ["rejects/r/part-000000.parquet"],
        "scored_at": "2026-01-02T03:04:05+00:00",
        "secs": 61.0,
        **changes,
    }
    return ImageScores.model_validate(content)


def picture(name: str, prediction: str, label: str | None = None, **changes: Any) -> ReportPicture:
    fields = {"probability": 0.75, "margin": 0.25, "pixels": np.zeros((8, 8, 1), np.uint8)}
    return ReportPicture(f"{ROOT}/{name}", label, prediction, **{**fields, **changes})


def a_page(labels: list[str], **changes: Any) -> str:
    scores = changes.pop("scores", some_scores(labels))
    inputs: dict[str, Any] = {
        "model_info": a_card(labels),
        "scores": scores,
        "threshold": (0.5, "0.5"),
        "temperature": 1.0,
        "confidences": CONFIDENCES,
        "sheets": {labels[0]: [picture("one.png", labels[0]), picture("two.png", labels[0])]},
        "mistakes": [],
        "least_certain": [picture("odd.png", labels[1], margin=0.01)],
        "heat_maps": None,
        "rejects": [
            ReportReject(f"{ROOT}/e.png", "empty", "0 bytes", None),
            ReportReject(f"{ROOT}/d.png", "damaged", "premature end", noise(1, 8, 3)[0]),
        ],
        "model": "/models/faces",
        "predictions": "/scores/predictions",
        "rejects_folder": "/scores/rejects",
    }
    return render_image_report(ImageReportInputs(**{**inputs, **changes}))


def rich(labels: list[str]) -> dict[str, Any]:
    """Return the arguments of a page with every section."""
    pixels = noise(8, 64, 3)
    return {
        "scores": some_scores(labels, labelled=2000, metrics=known(labels, 2000).to_json()),
        "sheets": {
            label: [
                picture(f"{label}/{n}.png", label, pixels=each) for n, each in enumerate(pixels)
            ]
            for label in labels[:3]
        },
        "mistakes": [picture(f"{labels[0]}/m.png", labels[1], labels[0], pixels=pixels[0])],
        "least_certain": [
            picture(f"{labels[0]}/l.png", labels[1], pixels=pixels[1]),
            picture(f"{labels[0]}/k.png", labels[1], labels[1], pixels=pixels[2]),
            picture(f"{labels[0]}/gone.png", labels[1], labels[0], pixels=None),
        ],
        "heat_maps": HeatMaps({f"{ROOT}/{labels[0]}/m.png": np.ones((4, 4), np.float32)}),
        "machine": {"cores": 2},
    }


CASES: dict[str, Any] = {
    "no labels": lambda: {"labels": FACES},
    "two classes": lambda: {"labels": FACES, **rich(FACES)},
    "ten classes": lambda: {"labels": TEN, **rich(TEN)},
    "hostile": lambda: {"labels": HOSTILE, **rich(HOSTILE)},
    "nothing scored": lambda: {
        "labels": FACES,
        "scores": some_scores(
            FACES, rows=0, inputs=3, scored_now=3, predicted=dict.fromkeys(FACES, 0), predictions=[]
        ),
        "sheets": {},
        "least_certain": [],
        "confidences": [0] * 40,
    },
}


@functools.cache
def text_of(case: str) -> str:
    return a_page(**CASES[case]())


def test_the_same_input_gives_the_same_bytes() -> None:
    assert a_page(**CASES["no labels"]()) == text_of("no labels")


def test_counts_predictions_and_places() -> None:
    page = Page(a_page(FACES))
    words = page.words()
    assert "21 of 24 images are scored; 57.14% are taken for comics." in words
    assert "24 images = 21 predictions + 3 rejects." in words
    for row in (
        ["Read in the last run", "15"],
        ["Not read: known from earlier runs, or unreadable", "9"],
        ["Predictions of images whose label is known", "0"],
        ["comics", "12", "57.14%"],
        ["faces", "9", "42.86%"],
        ["empty", "2"],
    ):
        assert row in page.rows
    assert "Ignored, because of their ending: 4 .txt." in words
    for text in (
        ROOT,
        "/models/faces",
        "/scores/predictions",
        "/scores/rejects",
        "version f3549667dfd5a49a",
    ):
        assert text in words
    assert "Scored2026-01-02 03:04 UTC, in 1 min 1 s" in words
    (alt,) = {alt for alt in page.alts() if alt.startswith("Histogram")}
    assert (
        alt
        == "Histogram of the highest probability. 20 images, the middle one at 0.9000 to 0.9250."
    )
    assert page.headings() == ["images", "classes", "uncertain", "rejects", "run"]


def test_pictures_of_classes() -> None:
    page = Page(
        a_page(
            FACES,
            sheets={
                "comics": [picture("one.png", "comics"), picture("two.png", "comics", pixels=None)]
            },
        )
    )
    assert "comics, 2 of 12 images 75.00%" in page.words()
    assert "An image taken for comics: one.png" in page.alts()
    assert "two.png cannot be read any more" in page.words()
    assert "9 images of 1 more class are not shown." in page.words()
    assert [item["title"] for item in page.all("li") if "title" in item] == ["one.png", "two.png"]


def test_the_least_certain_have_a_label_only_if_it_is_known() -> None:
    page = Page(a_page(FACES))
    assert "was least certain of, the smallest margin first" in page.words()
    assert "faces probability 75.00%margin 1.00% odd.png" in page.words().replace(
        "facesp", "faces p"
    )
    assert "An image taken for faces" in page.alts()
    page = Page(text_of("two classes"))
    assert "An image of class comics, taken for faces" in page.alts()
    assert "An image of class faces, rightly taken for faces" in page.alts()
    assert "The file cannot be read any more" in page.words()


def test_known_labels_give_the_sections_of_a_model() -> None:
    page = Page(text_of("two classes"))
    assert page.headings() == [
        *("images", "classes", "test", "mistakes", "uncertain", "rejects", "run")
    ]
    assert "Over 2,000 images whose label is known; precision, recall and F1" in page.words()
    assert "Of the 2,000 images whose label is known, " in page.words()
    assert "What speaks for faces is all over the picture" in page.alts()


def test_rejects_with_reason_detail_and_what_can_be_seen() -> None:
    page = Page(a_page(FACES))
    assert "Rejected images, 2 of 3" in page.words()
    assert "damaged: premature end d.png" in page.words()
    assert ["e.png", "empty", "0 bytes"] in page.rows
    none = some_scores(FACES, inputs=21, rejects=0, rejects_by_reason={}, rejects_files=[])
    page = Page(a_page(FACES, scores=none, rejects=[]))
    assert "rejects" not in page.headings()


def test_no_image_could_be_scored() -> None:
    page = Page(text_of("nothing scored"))
    assert "0 of 3 images are scored." in page.words()
    assert "No image could be decoded. The rejects below say why." in page.words()
    assert page.headings() == ["images", "rejects", "run"]


def test_how_classes_are_chosen() -> None:
    words = Page(a_page(FACES, threshold=(0.9, "best_f1"), temperature=2.0)).words()
    assert "assigned to class faces from a probability of 0.9000 on: where F1 is best" in words
    assert "Probabilities are scaled by a temperature of 2.0000" in words


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_fetched_and_a_screen_reader_finds_its_way(case: str) -> None:
    text = text_of(case)
    page = Page(text)
    for _tag, attributes in page.tags:
        for name in ("src", "srcset", "href"):
            if name in attributes:
                assert str(attributes[name]).startswith(("data:", "#"))
        assert not any(name.startswith("on") for name in attributes)
    assert not {"script", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert all(alt.strip() for alt in page.alts())
    assert len(page.all("table")) == len(page.all("caption")) > 0
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [each["aria-labelledby"] for each in page.all("section")] == page.headings()
    assert [str(each["href"]) for each in page.all("a")] == [f"#{h}" for h in page.headings()]
    for table in re.findall(r"<table.*?</table>", text, re.DOTALL):
        assert len({len(row) for row in Page(table).rows}) == 1
    assert not re.search(r"\{\{|\{%|\bNone\b|\bnan\b|Undefined", page.words())


def test_html_in_a_name_or_path_is_text() -> None:
    bad = "<img src=x onerror=alert(1)>\"'"
    odd = picture(f"{bad}\x1b[31m.png", "comics")
    text = a_page(
        FACES,
        scores=some_scores(FACES, images=bad, ignored={bad: 1}, rejects_by_reason={bad: 3}),
        sheets={"comics": [odd, odd._replace(pixels=None)]},
        least_certain=[odd],
        rejects=[ReportReject(bad, bad, bad, None)],
        model=bad,
        predictions=bad,
        heat_maps=HeatMaps({}, bad),
    )
    assert "<img src=x" not in text
    assert "\x1b" not in text
    assert Page(text).text.count(bad) >= 8


def test_a_page_of_many_large_pictures_stays_small() -> None:
    """The pictures are noise, which cannot be compressed."""
    labels = [f"class {number}" for number in range(16)]
    large, sheet = noise(72, 192, 3), noise(12, 96, 3)
    scores = some_scores(labels, predicted=dict.fromkeys(labels, 100), rows=1600, inputs=1603)
    text = a_page(
        labels,
        scores=scores,
        sheets={
            label: [picture(f"{n}.png", label, pixels=each) for n, each in enumerate(sheet)]
            for label in labels
        },
        least_certain=[
            picture(f"{n}.png", labels[0], pixels=each) for n, each in enumerate(large[:48])
        ],
        rejects=[
            ReportReject(f"{n}.png", "damaged", "", each) for n, each in enumerate(large[48:])
        ],
    )
    assert len(text) < 4_500_000


@pytest.mark.needs("chromium")
@pytest.mark.parametrize(
    ("case", "width"), [("two classes", 390), ("two classes", 1280), ("hostile", 390)]
)
def test_in_a_browser_it_fits_and_all_pictures_show(case: str, width: int, tmp_path: Path) -> None:
    text = text_of(case)
    assert browser.measure_layout(text, width, tmp_path) == {
        "beyond": 0,
        "images": len(Page(text).all("img")),
        "broken": 0,
        "sections": len(Page(text).all("section")),
    }
