"""The page: whole without a network, true to its numbers, safe with any label, readable by all."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Optional

import matplotlib
import numpy as np
import pytest
from PIL import Image

from halftone import metrics, plots, report
from halftone.config import Config
from halftone.manifest import Manifest
from halftone.model_directory import Card
from halftone.report import Picture

HOSTILE = ["<script>alert(1)</script>", "a \"very\" 'long' & unbroken_" + "label" * 30]
# Tags that never close.
VOID = {"meta", "link", "img", "source", "br", "wbr"}


class Page(HTMLParser):
    """Tags with their attributes, text by tag, and whether everything that opens closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Optional[str]]]] = []
        self.text = ""
        self.css = ""
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.css += data
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, Optional[str]]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def headings(self) -> list[str]:
        return [str(attributes["id"]) for attributes in self.all("h2")]

    def svgs(self) -> list[str]:
        uris = [a.get("src") or a.get("srcset") or "" for n, a in self.tags if n in VOID]
        svg = "data:image/svg+xml;base64,"
        return [base64.b64decode(uri[len(svg) :]).decode() for uri in uris if uri.startswith(svg)]

    def words(self) -> str:
        return " ".join(self.text.split())


# --- what goes in ---------------------------------------------------------------------------------


def a_card(labels: list[str], **changes: Any) -> Card:
    config = changes.pop("config", Config())
    values = {
        "schema_version": 1,
        "halftone_version": "0.1.0",
        "created": "2024-05-04T10:20:30+00:00",
        "version": "f3549667dfd5a49a",
        "network": "network-f3549667dfd5a49a.keras",
        "labels": labels,
        "pixels": config.pixels,
        "fingerprint": "d47f2ba86d75",
        "best_epoch": 3,
        "ranks": 1,
        "train_secs": 69.8,
        "origin": {},
        "config": config,
    }
    return Card(**{**values, **changes})


def a_manifest(labels: list[str], **changes: Any) -> Manifest:
    config = Config()
    counts = {
        split: dict.fromkeys(labels, rows)
        for split, rows in (("train", 1800), ("validation", 100), ("test", 200))
    }
    values = {
        "schema_version": 1,
        "halftone_version": "0.1.0",
        "created": "2024-05-04T10:00:00+00:00",
        "seed": 0,
        "pixels": config.pixels,
        "splits": config.splits,
        "preprocess": config.preprocess,
        "images": "/data/images",
        "labels": labels,
        "inputs": 2100 * len(labels),
        "rows": 2100 * len(labels),
        "rejects": 0,
        "duplicates": 0,
        "ignored": {},
        "rejects_by_reason": {},
        "counts": counts,
        "version": 1,
        "gone": 0,
        "near_duplicates": 0,
        "near_duplicates_files": [],
        "contact_sheet": "contact_sheets/a.png",
        "fingerprint": "d47f2ba86d75",
        "files": [],
        "rejects_files": [],
        "duplicates_files": [],
    }
    return Manifest(**{**values, **changes})


def a_history(epochs: int, validation: bool = True) -> list[dict[str, Any]]:
    history = []
    for epoch in range(1, epochs + 1):
        entry = {"epoch": epoch, "loss": 1 / epoch, "accuracy": 1 - 0.4 / epoch}
        if validation:
            entry.update(val_loss=1.5 / epoch, val_accuracy=1 - 0.5 / epoch)
        history.append({**entry, "secs": 2.5, "images_per_sec": 1520.4})
    return history


def some_metrics(confusion: list[list[int]], labels: list[str], **changes: Any) -> dict[str, Any]:
    return {
        **metrics.of_confusion(confusion, labels),
        "loss": 31.0 / sum(map(sum, confusion)),
        "split": "test",
        "model_version": "f3549667dfd5a49a",
        "fingerprint": "d47f2ba86d75",
        "scored_at": "2024-05-04T11:00:00+00:00",
        "secs": 12.34,
        **changes,
    }


def spread(classes: int) -> list[list[int]]:
    """200 images a class, 180 right, the rest taken for the next class."""
    confusion = [[0] * classes for _ in range(classes)]
    for number in range(classes):
        confusion[number][number] = 180
        confusion[number][(number + 1) % classes] = 20
    return confusion


def some_mistakes(labels: list[str], side_px: int = 64, channels: int = 1) -> list[Picture]:
    pixels = np.arange(side_px * side_px * channels, dtype=np.uint32) % 251
    shaped = pixels.astype(np.uint8).reshape(side_px, side_px, channels)
    return [
        Picture(f"/data/images/{labels[0]}/{number}.jpg", labels[0], labels[1], 0.5 + number / 10,
                shaped)
        for number in range(3)
    ]  # fmt: skip


def a_page(labels: list[str], **given: Any) -> str:
    return report.render(
        given.get("card", a_card(labels)),
        given.get("history", a_history(20)),
        given.get("manifest", a_manifest(labels)),
        given.get("metrics", some_metrics(spread(len(labels)), labels)),
        given.get("mistakes", some_mistakes(labels)),
    )


FACES = ["comics", "faces"]
TEN = [f"class {number}" for number in range(10)]
HUNDRED = [f"class {number:02d}" for number in range(100)]
CASES: dict[str, dict[str, Any]] = {
    "two classes": {"labels": FACES},
    "ten classes": {"labels": TEN, "mistakes": some_mistakes(TEN, 32, 3)},
    "a hundred classes": {"labels": HUNDRED},
    "one epoch": {"labels": FACES, "history": a_history(1), "card": a_card(FACES, best_epoch=1)},
    "many epochs": {"labels": FACES, "history": a_history(45)},
    "no validation": {"labels": FACES, "history": a_history(20, validation=False)},
    "no history": {"labels": FACES, "history": []},
    "no mistakes": {
        "labels": FACES,
        "mistakes": [],
        "metrics": some_metrics([[200, 0], [0, 200]], FACES),
    },
    "hostile": {"labels": HOSTILE},
    "large pictures": {"labels": FACES, "mistakes": some_mistakes(FACES, 600, 3)},
    "rejects": {
        "labels": FACES,
        "manifest": a_manifest(
            FACES,
            inputs=4210,
            rejects=6,
            duplicates=4,
            rejects_by_reason={"damaged": 1, "truncated": 5},
            ignored={".txt": 12, ".<b>": 1, "": 2},
        ),
    },
}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {name: a_page(**given) for name, given in CASES.items()}


@pytest.fixture(scope="module")
def pages(texts: dict[str, str]) -> dict[str, Page]:
    return {name: Page(text) for name, text in texts.items()}


# --- whole, safe and readable, whatever the case --------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_fetched(pages: dict[str, Page], case: str) -> None:
    page = pages[case]
    for _tag, attributes in page.tags:
        for name in ("src", "srcset", "href", "data", "action", "poster", "background"):
            if name in attributes:
                assert str(attributes[name]).startswith(("data:", "#")), (name, attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"url\(|@import|@font-face", page.css)
    for svg in page.svgs():
        references = re.findall(r'href="([^"]*)"|url\(([^)]*)\)', svg)
        assert all("".join(reference).startswith(("#", "data:")) for reference in references)
    assert not {"script", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@pytest.mark.parametrize("case", CASES)
def test_a_screen_reader_finds_its_way(pages: dict[str, Page], case: str) -> None:
    page = pages[case]
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("title")) == len(page.all("main")) == 1
    assert all(str(image.get("alt") or "").strip() for image in page.all("img"))
    assert len(page.all("table")) == len(page.all("caption")) > 0
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for a in page.all("section")} == set(page.headings())


@pytest.mark.parametrize("case", CASES)
def test_every_row_of_a_table_has_its_cells(texts: dict[str, str], case: str) -> None:
    for table in re.findall(r"<table.*?</table>", texts[case], re.DOTALL):
        assert len({len(row) for row in Page(table).rows}) == 1


def test_the_same_input_gives_the_same_bytes(texts: dict[str, str]) -> None:
    assert a_page(**CASES["ten classes"]) == texts["ten classes"]


def test_the_users_matplotlibrc_changes_nothing(texts: dict[str, str]) -> None:
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "text.usetex": True}):
        assert a_page(**CASES["two classes"]) == texts["two classes"]
        assert matplotlib.rcParams["font.size"] == 30


def test_html_in_a_label_or_key_is_text(texts: dict[str, str], pages: dict[str, Page]) -> None:
    assert "<script" not in texts["hostile"]
    assert "<script>alert(1)</script> → " in pages["hostile"].text
    assert "<script>alert(1)</script>/2.jpg" in pages["hostile"].text
    alt = pages["hostile"].all("img")[-1]["alt"]
    assert alt == f"An image of class {HOSTILE[0]}, taken for {HOSTILE[1]}"
    assert "12 .txt, 2 without one, 1 .<b>." in pages["rejects"].words()


def test_it_works_from_a_zip(tmp_path: Path) -> None:
    package = Path(report.__file__).parent
    with zipfile.ZipFile(tmp_path / "halftone.zip", "w") as archive:
        for path in [*package.rglob("*.py"), *package.rglob("*.j2")]:
            archive.write(path, path.relative_to(package.parent))
    code = (
        "from halftone import report\n"
        "assert '.zip' in report.__file__\n"
        "print(report._template().render.__name__)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "halftone.zip")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.stdout == "render\n", run.stderr


def test_a_loss_that_is_no_number_is_said_and_not_drawn() -> None:
    nan = float("nan")
    history = [{**entry, "loss": nan, "val_loss": nan} for entry in a_history(4)]
    page = Page(a_page(FACES, history=history))
    assert ["1", "nan", "0.6000", "nan", "0.5000", "2.5 s", "1,520"] in page.rows


# --- which sections there are ---------------------------------------------------------------------


def test_sections(pages: dict[str, Page]) -> None:
    whole = ["test", "training", "mistakes", "data", "run"]
    assert pages["two classes"].headings() == whole
    assert pages["no mistakes"].headings() == ["test", "training", "data", "run"]
    assert pages["no history"].headings() == ["test", "mistakes", "data", "run"]
    assert "Rejected images" in pages["rejects"].text
    assert "Rejected images" not in pages["two classes"].text
    assert "Ignored" not in pages["two classes"].text


# --- the numbers ----------------------------------------------------------------------------------


def test_the_verdict(pages: dict[str, Page]) -> None:
    labels = FACES
    page = Page(a_page(labels, metrics=some_metrics([[193, 7], [3, 197]], labels)))
    # By hand: 390 / 400; precision 197 / 204, recall 197 / 200, F1 = 394 / 404.
    assert (
        "97.50% of 400 test images are classified correctly; F1 0.9752 (class faces)."
        in page.words()
    )
    assert ["Correct", "390"] in page.rows
    assert ["Wrong", "10"] in page.rows
    assert ["Accuracy", "0.9750"] in page.rows
    # The two p for which |0.975 - p| = 1.959964 sqrt(p (1 - p) / 400).
    assert ["Accuracy, 95% interval (Wilson)", "0.9546 to 0.9864"] in page.rows
    assert ["Accuracy of always answering comics", "0.5000"] in page.rows
    assert ["Precision", "0.9657"] in page.rows
    assert ["Recall", "0.9850"] in page.rows
    assert ["Loss (cross-entropy, nats)", "0.0775"] in page.rows
    assert ["comics", "0.9847", "0.9650", "0.9747", "200"] in page.rows
    assert ["comics", "193", "7"] in page.rows
    assert ["faces", "3", "197"] in page.rows
    assert "Most frequent confusions" not in page.text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.00%"), (1e-5, "<0.01%"), (0.58461, "58.46%"), (0.99999, ">99.99%"), (1, "100.00%")],
)
def test_only_all_is_100_percent(share: float, text: str) -> None:
    assert report.percent(share) == text


def test_wilson_stays_between_0_and_1(pages: dict[str, Page]) -> None:
    # Wilson at 400 of 400: 400 / (400 + 1.959964 ** 2)
    rows = pages["no mistakes"].rows
    assert ["Accuracy, 95% interval (Wilson)", "0.9905 to 1.0000"] in rows


def test_the_data(pages: dict[str, Page]) -> None:
    page = pages["rejects"]
    assert "4,210 images = 4,200 rows + 6 rejects + 4 duplicates." in page.words()
    assert ["comics", "1,800", "100", "200", "2,100"] in page.rows
    assert ["All", "3,600", "200", "400", "4,200"] in page.rows
    # The most frequent first.
    assert page.rows.index(["truncated", "5"]) < page.rows.index(["damaged", "1"])


def test_a_matrix_of_ten_is_a_table_with_shades_and_one_of_a_hundred_a_picture(
    texts: dict[str, str], pages: dict[str, Page]
) -> None:
    assert ["class 0", "180", "20", *["0"] * 8] in pages["ten classes"].rows
    cells = re.findall(r'<td class="(heat[^"]*)">(\d+)</td>', texts["ten classes"])
    assert set(cells) == {("heat8 right", "180"), ("heat1", "20"), ("heat0", "0")}
    assert "Heat map" not in texts["ten classes"]
    assert "heat8 right" not in texts["a hundred classes"]
    assert any("number of the true class" in svg for svg in pages["a hundred classes"].svgs())
    for case in ("ten classes", "a hundred classes"):
        page = pages[case]
        first = "class 0" if case == "ten classes" else "class 00"
        following = "class 1" if case == "ten classes" else "class 01"
        assert [first, following, "20", "10.00%"] in page.rows
        assert sum(row[2:] == ["20", "10.00%"] for row in page.rows) == 10


def test_text_on_every_shade_can_be_read() -> None:
    for theme in (plots.LIGHT, plots.DARK):
        for background, ink in plots.ramp(theme, 10):
            paper = [int(background[at : at + 2], 16) / 255 for at in (1, 3, 5)]
            light = plots._luminance(paper)
            ratio = (light + 0.05) / 0.05 if ink == "#000" else 1.05 / (light + 0.05)
            assert ratio >= 4.5, (background, ink)


# --- cautions -------------------------------------------------------------------------------------


def caution(**given: Any) -> Optional[str]:
    page = a_page(FACES, **given)
    found = re.search(r'<p class="caution">(.*?)</p>', page)
    return found and found.group(1)


def test_scores_on_a_split_that_had_a_part_in_training_come_with_a_caution() -> None:
    scores = spread(2)
    assert caution(metrics=some_metrics(scores, FACES)) is None
    assert "trained on" in str(caution(metrics=some_metrics(scores, FACES, split="train")))
    on_validation = caution(metrics=some_metrics(scores, FACES, split="validation"))
    assert "epoch was chosen on" in str(on_validation)


def test_another_dataset_is_named_and_is_a_caution_where_its_splits_are_others() -> None:
    grown = some_metrics(spread(2), FACES, fingerprint="another")
    assert caution(metrics=grown) is None
    assert "Trained on the dataset with fingerprint" in a_page(FACES, metrics=grown)
    assert "other splits" in str(caution(metrics=grown, manifest=a_manifest(FACES, seed=8)))


# --- the run --------------------------------------------------------------------------------------


def settings(**changes: Any) -> list[list[str]]:
    page = Page(a_page(FACES, card=a_card(FACES, config=Config.model_validate(changes))))
    start = page.rows.index(["Setting", "Value", "Default"])
    return page.rows[start + 1 :]


def test_settings_that_differ_from_the_defaults() -> None:
    changed = {"seed": 7, "train": {"epochs": 3, "model": {"name": "convnet", "filters": (8, 16)}}}
    assert settings(**changed) == [
        ["seed", "7", "0"],
        ["train.model.filters", "[8, 16]", "[32, 32]"],
        ["train.epochs", "3", "10"],
    ]


def test_another_family_is_held_against_its_own_defaults() -> None:
    assert settings(train={"model": {"name": "mlp", "dropout": 0.5}}) == [
        ["train.model.name", "mlp", "convnet"],
        ["train.model.dropout", "0.5", "0.0"],
    ]


def test_paths_and_spark_settings_stay_out(texts: dict[str, str]) -> None:
    assert "All settings are the defaults." in texts["two classes"]
    secret = {"paths": {"model": "/hidden"}, "spark": {"conf": {"spark.x.secret": "hidden"}}}
    page = a_page(FACES, card=a_card(FACES, config=Config.model_validate(secret)))
    assert "hidden" not in page
    assert "All settings are the defaults." in page


def test_what_was_run(pages: dict[str, Page]) -> None:
    words = pages["two classes"].words()
    assert "Trained2024-05-04 10:20 UTC, in 1 min 10 s on 1 rank" in words.replace(
        "Trained ", "Trained"
    )
    assert "20, of which epoch 3 was chosen" in words
    assert "1,520 images/s (median epoch)" in words
    assert "2024-05-04 11:00 UTC, in 12.3 s" in words


# --- the figures ----------------------------------------------------------------------------------


def test_curves_mark_the_chosen_epoch_in_both_themes(pages: dict[str, Page]) -> None:
    page = pages["two classes"]
    svgs = page.svgs()
    assert len(svgs) == 4  # loss and accuracy, light and dark
    assert all("chosen: epoch 3" in svg and "validation" in svg for svg in svgs)
    assert [row for row in page.rows if "chosen" in row[0]] == [
        ["3 (chosen)", "0.3333", "0.8667", "0.5000", "0.8333", "2.5 s", "1,520"]
    ]
    assert page.all("img")[0]["alt"] == (
        "Loss over epochs 1 to 20: train from 1.0000 to 0.0500, validation from 1.5000 to 0.0750; "
        "chosen is epoch 3."
    )


def test_one_epoch_is_one_tick(pages: dict[str, Page]) -> None:
    for svg in pages["one epoch"].svgs():
        assert svg.count('id="xtick_') == 1


def test_without_validation_nothing_speaks_of_it(pages: dict[str, Page]) -> None:
    page = pages["no validation"]
    assert not any("validation" in svg for svg in page.svgs())
    assert "Validation loss" not in page.text


def test_pictures_keep_their_pixels_and_are_enlarged_by_whole_numbers() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (48, 36, 3), dtype=np.uint8)
    shown = plots.picture(pixels)
    assert (shown.width_px, shown.height_px, shown.enlarged) == (72, 96, True)
    assert np.array_equal(opened(shown.uri), pixels)
    grey = plots.picture(pixels[:, :, :1])
    assert np.array_equal(opened(grey.uri), pixels[:, :, 0])


def test_a_large_picture_is_reduced() -> None:
    shown = plots.picture(np.zeros((1024, 512, 3), np.uint8))
    assert (shown.width_px, shown.height_px, shown.enlarged) == (64, 128, False)
    assert opened(shown.uri).shape == (192, 96, 3)


def opened(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_mistakes_come_with_the_most_confident_first(pages: dict[str, Page]) -> None:
    words = pages["two classes"].words()
    shares = re.findall(r"probability (\d+\.\d+%) comics/(\d)\.jpg", words)
    assert shares == [("70.00%", "2"), ("60.00%", "1"), ("50.00%", "0")]
    assert "3 of 40, those with the most confident wrong answer first" in words
    image = pages["two classes"].all("img")[-1]
    assert (image["width"], image["height"], image["class"]) == ("128", "128", "enlarged")
