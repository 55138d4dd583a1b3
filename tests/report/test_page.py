"""The page as a whole: self-contained, safe with any label, accessible, and in a browser."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import matplotlib
import pytest

import browser
from halftone import report
from halftone.dataset import contact_sheet
from halftone.model_directory import LayerInfo, Restart
from report_pages import (
    FACES,
    HOSTILE,
    HUNDRED,
    TEN,
    Page,
    a_card,
    a_history,
    a_manifest,
    a_page,
    an_example,
    full_metrics,
    noise,
    old_metrics,
    some_mistakes,
    some_slices,
)


def rich(labels: list[str], **changes: Any) -> dict[str, Any]:
    """Return the arguments of a page with every section."""
    slices = some_slices(labels, 60, column=labels[0])
    metrics = full_metrics(labels, slices=slices, **changes)
    pixels = noise(3, 24, 3)
    return {
        "labels": labels,
        "card": a_card(labels, restarts=[Restart(epoch=2, message="rank 1 ended with SIGKILL")]),
        "metrics": metrics,
        "mistakes": some_mistakes(labels, 32, 3),
        "least_certain": [
            an_example(f"{labels[0]}/a.jpg", labels[0], labels[1], 0.501, pixels[0]),
            an_example(f"{labels[0]}/b.jpg", labels[1], labels[1], 0.502, pixels[1]),
        ],
        "manifest": a_manifest(
            labels,
            rejects=2,
            rejects_by_reason={"damaged": 1, "empty": 1},
            near_duplicates=3,
            gone=1,
        ),
        "rejects": [
            (f"/data/images/{labels[0]}/e.jpg", "empty", "0 bytes", None),
            (f"/data/images/{labels[0]}/d.jpg", "damaged", "premature end", pixels[2]),
        ],
        "contact_sheet": contact_sheet.draw_contact_sheet([(labels[0], pixels)]),
        "baseline": full_metrics(labels, rows=1500),
        "name": "last week",
        "machine": {"cores": 2, "memory_bytes": 24 * 2**30, "versions": {"python": "3.11.2"}},
    }


CASES: dict[str, Any] = {
    "two classes": lambda: {"labels": FACES},
    "ten classes": lambda: {"labels": TEN, "mistakes": some_mistakes(TEN, 32, 3)},
    "a hundred classes": lambda: {"labels": HUNDRED},
    "rich, two classes": lambda: rich(FACES, threshold=("best_f1", 0.4), temperature=1.5),
    "rich, ten classes": lambda: rich(TEN),
    "rich, a hundred classes": lambda: rich(HUNDRED),
    "rich, hostile": lambda: rich(HOSTILE),
    "one epoch": lambda: {
        "labels": FACES,
        "history": a_history(1),
        "card": a_card(FACES, best_epoch=1),
    },
    "no validation": lambda: {"labels": FACES, "history": a_history(20, validation=False)},
    "no history": lambda: {"labels": FACES, "history": []},
    "no mistakes": lambda: {
        "labels": FACES,
        "mistakes": [],
        "metrics": old_metrics([[200, 0], [0, 200]], FACES),
    },
    "hostile": lambda: {"labels": HOSTILE},
}


def page_arguments(case: str) -> dict[str, Any]:
    return {"history": a_history(20), **CASES[case]()}


@functools.cache
def text(case: str) -> str:
    return a_page(**page_arguments(case))


@functools.cache
def page(case: str) -> Page:
    return Page(text(case))


# --- whole, safe and readable, whatever the case --------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_fetched(case: str) -> None:
    for _tag, attributes in page(case).tags:
        for name in ("src", "srcset", "href", "data", "action", "poster", "background"):
            if name in attributes:
                assert str(attributes[name]).startswith(("data:", "#")), (name, attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"url\(|@import|@font-face", page(case).css)
    for svg in page(case).svgs():
        references = re.findall(r'href="([^"]*)"|url\(([^)]*)\)', svg)
        assert all("".join(reference).startswith(("#", "data:")) for reference in references)
    assert not {"script", "iframe", "object", "base", "form"} & {tag for tag, _ in page(case).tags}
    policy = next(a["content"] for a in page(case).all("meta") if "http-equiv" in a)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@pytest.mark.parametrize("case", CASES)
def test_a_screen_reader_finds_its_way(case: str) -> None:
    read = page(case)
    assert read.all("html") == [{"lang": "en"}]
    assert len(read.all("h1")) == len(read.all("title")) == len(read.all("main")) == 1
    assert all(alt.strip() for alt in read.alts())
    assert len(read.all("table")) == len(read.all("caption")) > 0
    assert all(cell.get("scope") in ("row", "col") for cell in read.all("th"))
    ids = [a["id"] for _, a in read.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert [a["aria-labelledby"] for a in read.all("section")] == read.headings()
    assert [str(a["href"]) for a in read.all("a")] == [f"#{name}" for name in read.headings()]


@pytest.mark.parametrize("case", CASES)
def test_every_row_of_a_table_has_its_cells(case: str) -> None:
    for table in re.findall(r"<table.*?</table>", text(case), re.DOTALL):
        assert len({len(row) for row in Page(table).rows}) == 1


@pytest.mark.parametrize("case", CASES)
def test_nothing_of_the_templates_or_of_python_is_left_over(case: str) -> None:
    words = page(case).words()
    assert not re.search(r"\{\{|\{%|\bNone\b(?!:)|\bFalse\b|\bnan\b|<halftone|Undefined", words)


def test_the_same_input_gives_the_same_bytes() -> None:
    assert a_page(**page_arguments("rich, ten classes")) == text("rich, ten classes")


def test_the_users_matplotlibrc_changes_nothing() -> None:
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "text.usetex": True}):
        assert a_page(**page_arguments("rich, two classes")) == text("rich, two classes")
        assert matplotlib.rcParams["font.size"] == 30


@pytest.mark.parametrize("case", ["hostile", "rich, hostile"])
def test_html_in_a_label_or_path_is_text(case: str) -> None:
    assert "<script" not in text(case)
    assert "<script>alert(1)</script> → " in page(case).text
    assert "<script>alert(1)</script>/2.jpg" in page(case).text
    assert f"An image of class {HOSTILE[0]}, taken for {HOSTILE[1]}" in page(case).alts()


def test_html_elsewhere_is_text() -> None:
    bad = "<img src=x onerror=alert(1)>"
    arguments = rich(FACES)
    arguments["rejects"] = [(bad, bad, bad, None)]
    arguments["name"] = bad
    arguments["machine"] = {bad: bad}
    arguments["card"] = a_card(FACES, restarts=[Restart(epoch=0, message=bad)])
    arguments["manifest"] = a_manifest(
        FACES, ignored={bad: 2}, rejects_by_reason={bad: 1}, images=bad
    )
    html = a_page(**arguments)
    assert "<img src=x" not in html
    assert Page(html).text.count(bad) >= 9


def test_a_label_of_any_letters_can_be_drawn() -> None:
    labels = ["_hidden", "$x^{2$", "猫 \x01\n", "ع" * 60]
    arguments = rich(labels)
    read = Page(a_page(**arguments))
    svgs = "".join(read.svgs())
    for shown in ("_hidden", "$x^{2$", r"猫 \x01\n", "ع" * 27 + "…"):
        assert shown in svgs
    for svg in read.svgs():
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", svg.replace("\n", "").replace("\t", ""))


def test_characters_that_do_not_print_are_escaped_everywhere() -> None:
    labels = ["a\x1b[31m\nb\u202e", "c"]
    html = a_page(history=a_history(2), **rich(labels))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]|31m\nb", html)
    assert r"<bdi>a\x1b[31m\nb\u202e</bdi>" in html
    assert r"An image of class a\x1b[31m\nb\u202e, taken for c" in Page(html).alts()
    for svg in Page(html).svgs():
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]|31m\nb", svg)


def test_it_works_from_a_zip(tmp_path: Path) -> None:
    package = Path(report.__file__).parents[1]
    with zipfile.ZipFile(tmp_path / "halftone.zip", "w") as archive:
        for path in [*package.rglob("*.py"), *package.rglob("*.j2")]:
            archive.write(path, path.relative_to(package.parent))
    code = (
        "import report_pages\n"
        "from halftone import report\n"
        "assert '.zip' in report.__file__\n"
        "print(len(report_pages.a_page(['a', 'b'])))"
    )
    tests = str(Path(__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "halftone.zip"), tests])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.stdout == f"{len(a_page(['a', 'b']))}\n", run.stderr


@pytest.mark.parametrize(("side_px", "channels"), [(64, 1), (224, 3)])
def test_a_page_of_many_pictures_stays_small(side_px: int, channels: int) -> None:
    """The pictures are noise, which cannot be compressed."""
    pictures = [
        an_example(f"{number}.jpg", *TEN[:2], 0.6, pixels)
        for number, pixels in enumerate(noise(96, side_px, channels))
    ]
    sheet = contact_sheet.draw_contact_sheet([(label, noise(24, 32, 3)) for label in TEN])
    arguments = rich(TEN)
    arguments.update(mistakes=pictures[:48], least_certain=pictures[48:], contact_sheet=sheet)
    assert len(a_page(**arguments)) < 3_000_000


# --- which sections there are, and what replaces a missing one -----------------------------------


def test_sections() -> None:
    whole = ["test", "training", "mistakes", "data", "run"]
    assert page("two classes").headings() == whole
    assert page("rich, two classes").headings() == [
        *("test", "comparison", "slices", "training", "mistakes", "uncertain", "data", "run"),
    ]
    for case in ("no mistakes", "no history"):
        assert page(case).headings() == whole


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no mistakes", "None: all of 400 images are classified correctly."),
        ("no history", "The model has no training history."),
        ("two classes", "These scores were written by an older version of Halftone, without areas"),
    ],
)
def test_what_is_missing_is_said(case: str, words: str) -> None:
    assert words in page(case).words()
    assert words not in page("rich, two classes").words()


def test_accuracy_on_drawn_images_is_called_synthetic_where_it_stands() -> None:
    drawn = a_manifest(FACES, images_description="synthetic: <code> drew them")
    read = Page(a_page(FACES, manifest=drawn))
    words = read.words()
    notice = (
        "The images are synthetic: <code> drew them. The accuracy does not predict that on real "
        "images."
    )
    assert words.index("images are classified correctly") < words.index(notice)
    assert words.index(notice) < words.index("The test")  # the first of the sections
    assert notice not in page("rich, two classes").words()


def test_some_right_answers_are_shown_with_their_class() -> None:
    right = [an_example("comics/7.jpg", "comics", "comics", 0.75, noise(1, 8, 1)[0])]
    read = Page(a_page(FACES, right=right))
    assert read.headings() == ["test", "training", "mistakes", "right", "data", "run"]
    assert "1 of 360, drawn at random" in read.words()
    assert "An image of class comics, rightly taken for it" in read.alts()
    assert "comicsprobability 75.00% comics/7.jpg" in read.words()


def test_the_network_is_shown_layer_by_layer() -> None:
    layers = [
        LayerInfo(name="conv2d", kind="Conv2D", shape=(14, 14, 32), parameters=1320),
        LayerInfo(name="dense", kind="Dense", shape=(1,), parameters=33),
    ]
    card = a_card(FACES, layers=layers, num_parameters=1353, network_bytes=2**20)
    read = Page(a_page(FACES, card=card))
    assert read.headings() == ["test", "training", "mistakes", "data", "network", "run"]
    start = read.rows.index(["Layer", "Kind", "Output", "Parameters"])
    assert read.rows[start + 1 : start + 3] == [
        ["conv2d", "Conv2D", "14 \N{MULTIPLICATION SIGN} 14 \N{MULTIPLICATION SIGN} 32", "1,320"],
        ["dense", "Dense", "1", "33"],
    ]
    assert "Convnet with 2 layers and 1,353 parameters, 1.0 MiB as a file." in read.words()


def test_mistakes_that_nobody_kept_are_said() -> None:
    read = Page(a_page(FACES, mistakes=[]))
    assert "40 images of 400; no examples were kept." in read.words()


def test_an_old_page_has_no_figures_of_what_it_does_not_know() -> None:
    assert len(page("two classes").svgs()) == 4  # loss and accuracy, light and dark
    assert len(page("rich, two classes").svgs()) == 12
    assert not page("two classes").all("h3")
    assert "Contact sheet, in the dataset" in page("two classes").words()
    assert "Contact sheet, in the dataset" not in page("rich, two classes").words()


# --- in a browser ---------------------------------------------------------------------------------


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("case", ["rich, two classes", "rich, a hundred classes", "rich, hostile"])
def test_in_a_browser_it_fits_and_all_pictures_show(case: str, width: int, tmp_path: Path) -> None:
    assert browser.measure_layout(text(case), width, tmp_path) == {
        "beyond": 0,
        "images": len(page(case).all("img")),
        "broken": 0,
        "sections": len(page(case).all("section")),
    }


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("case", ["rich, two classes", "rich, hostile"])
def test_a_browser_asks_no_network_and_has_nothing_to_complain_of(
    case: str, tmp_path: Path
) -> None:
    dom, complaints = browser.browse(text(case), tmp_path)
    assert dom.count("<section") == len(page(case).all("section"))
    assert "CONSOLE" not in complaints
    assert browser.list_page_requests(tmp_path) == []


@pytest.mark.needs("chromium")
def test_the_test_before_would_see_both(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/a.png"
    _, complaints = browser.browse(
        f'<img src="{url}"><script>console.error("oh")</script>', tmp_path
    )
    assert "CONSOLE" in complaints
    assert browser.list_page_requests(tmp_path) == [url]
