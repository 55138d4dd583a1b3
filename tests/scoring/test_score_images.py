"""Raw images scored with real Spark, by a network whose answers are known."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any, Callable, Optional

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import saved_model
from conftest import DrawImages, stripes
from delta_readers import READERS
from halftone import images
from halftone.config import Config, PixelSpec
from halftone.errors import InputError
from halftone.locking.lock import LockHeldError
from halftone.locking.output import hold_output
from halftone.preprocess import staging
from halftone.preprocess.run import preprocess
from halftone.scoring import image_page, score_images, scores_directory
from packed_images import write_tar, write_zip
from report_pages import Page

MakeConfig = Callable[..., Config]
LABELS = ["lying", "upright"]


@pytest.fixture
def model(tmp_path: Path, config: MakeConfig) -> Path:
    return saved_model.save(tmp_path / "model", config(), LABELS)


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path, config: MakeConfig, model: Path) -> Callable[..., Any]:
    def run_(
        folder: Path,
        session: Callable[[], SparkSession] = lambda: spark,
        dataset: Optional[Path] = None,
        **score: Any,
    ) -> dict[str, Any]:
        """Score; return the content of metrics.json."""
        paths = {"dataset": str(dataset) if dataset else None}
        settings = config(score={"batch_size": 7, **score}, paths=paths)
        scores = score_images.score_images(
            settings, str(folder), str(model), str(tmp_path / "scores"), session
        )
        return scores.to_json()

    return run_


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def plain_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that takes no time, for tests of something else."""
    monkeypatch.setattr(image_page, "render_page", lambda *_: "a page")


def no_spark() -> SparkSession:
    raise AssertionError("Spark was started")


def tree(tmp_path: Path) -> dict[Path, int]:
    """Return the files of the scores, but for those of locks, and when they were written."""
    files = [path for path in (tmp_path / "scores").rglob("*.*") if path.parent.name != "_lock"]
    return {path: path.stat().st_mtime_ns for path in files}


def page_of(tmp_path: Path) -> Page:
    return Page((tmp_path / "scores" / "report.html").read_text())


def rows_of(tmp_path: Path, result: dict[str, Any], kind: str = "predictions") -> dict[str, Any]:
    """Return rows by their path below the folder of images."""
    key = "key" if kind == "predictions" else "path"
    tables = [pq.read_table(tmp_path / "scores" / path) for path in result[kind]]
    rows = [row for table in tables for row in table.to_pylist()]
    by_path = {os.path.relpath(row[key], tmp_path / "images"): row for row in rows}
    assert len(by_path) == len(rows)
    return by_path


@pytest.mark.usefixtures("plain_page")
def test_every_image_is_a_prediction_or_a_reject(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    folder = draw_images(classes=("lying", "later"), each=20)
    (folder / "later" / "empty.png").write_bytes(b"")
    (folder / "later" / "half.png").write_bytes((folder / "later" / "0000.png").read_bytes()[:300])
    (folder / "later" / "notes.txt").write_text("not an image")
    os.mkfifo(folder / "later" / "pipe.png")
    Path(os.fsdecode(os.fsencode(folder) + b"/later/caf\xe9.png")).write_bytes(b"Latin-1 name")
    result = run(folder)
    counts = {key: result[key] for key in ("inputs", "rows", "rejects", "scored_now", "labelled")}
    assert counts == {"inputs": 44, "rows": 40, "rejects": 4, "scored_now": 43, "labelled": 20}
    assert result["rejects_by_reason"] == {"empty": 1, "truncated": 1, "unreadable": 2}
    assert result["ignored"] == {".txt": 1}
    rows = rows_of(tmp_path, result)
    data = {
        name: images.decode(
            (folder / name).read_bytes(), PixelSpec(height_px=16, width_px=16, channels=1)
        )
        for name in rows
    }
    pixels = np.stack([decoded.pixels for decoded in data.values()])
    expected = saved_model.network((16, 16, 1), 2).predict(pixels, verbose=0)
    for row, probability in zip(rows.values(), expected):
        assert row["probability"] == pytest.approx(probability, abs=1e-6)
        assert row["prediction"] == LABELS[int(probability[1] >= 0.5)]
    # A folder that is not named after a class holds images without a known label.
    assert {name.split("/")[0]: row["label"] for name, row in rows.items()} == {
        "lying": "lying",
        "later": None,
    }
    predicted = [row["prediction"] for row in rows.values()]
    assert result["predicted"] == {name: predicted.count(name) for name in LABELS}
    right = sum(row["prediction"] == row["label"] for row in rows.values())
    assert result["metrics"]["accuracy"] == right / 20
    assert json.loads((tmp_path / "scores" / "metrics.json").read_text()) == result
    rejected = rows_of(tmp_path, result, "rejects_files")
    assert {name: row["reason"] for name, row in rejected.items()} == {
        "later/empty.png": "empty",
        "later/half.png": "truncated",
        "later/pipe.png": "unreadable",
        "later/caf\\udce9.png": "unreadable",
    }
    assert rejected["later/pipe.png"]["detail"] == "a FIFO (named pipe), not a file"
    assert rejected["later/caf\\udce9.png"]["detail"] == "its name is not UTF-8 text; rename it"
    files = {
        str(path.relative_to(tmp_path / "scores")) for path in (tmp_path / "scores").rglob("*.*")
    }
    named = {*result["predictions"], *result["rejects_files"]}
    others = {"metrics.json", "report.html", "predictions.csv", "_lock/000001.json"}
    log = {
        f"{table}/_delta_log/{version:020d}.json"
        for table in ("predictions", "rejects")
        for version in (0, 1)
    }
    assert files == {*others, *named, *log}
    for read in READERS.values():
        assert read(str(tmp_path / "scores" / "rejects"), "path, reason, size_bytes") == [
            (f"{folder}/later/caf\\udce9.png", "unreadable", 12),
            (f"{folder}/later/empty.png", "empty", 0),
            (f"{folder}/later/half.png", "truncated", 300),
            (f"{folder}/later/pipe.png", "unreadable", 0),
        ]
        keys = read(str(tmp_path / "scores" / "predictions"), "key")
        assert keys == sorted((f"{folder}/{name}",) for name in rows)
    before = tree(tmp_path)
    assert run(folder, only_new=True) == {**result, "scored_now": 0}
    assert tree(tmp_path) == before
    cv2.imwrite(str(folder / "lying" / "new.png"), stripes(0, 99))
    more = run(folder, only_new=True)
    assert (more["inputs"], more["rows"], more["scored_now"]) == (45, 41, 1)
    assert more["rejects_by_reason"] == result["rejects_by_reason"]
    assert rows_of(tmp_path, more, "rejects_files") == rejected
    # One reject is mended, another image is rejected, and one is rejected for another reason.
    cv2.imwrite(str(folder / "later" / "half.png"), stripes(0, 98))
    (folder / "lying" / "0003.png").write_bytes(b"not an image at all")
    (folder / "later" / "empty.png").write_bytes(b"text")
    last = run(folder, only_new=True)
    assert (last["inputs"], last["rows"], last["rejects"]) == (45, 41, 4)
    assert last["rejects_by_reason"] == {"not_an_image": 2, "unreadable": 2}
    for read in READERS.values():
        assert read(str(tmp_path / "scores" / "rejects"), "path, reason", 3) == [
            (f"{folder}/later/caf\\udce9.png", "unreadable"),
            (f"{folder}/later/empty.png", "not_an_image"),
            (f"{folder}/later/pipe.png", "unreadable"),
            (f"{folder}/lying/0003.png", "not_an_image"),
        ]
        assert len(read(str(tmp_path / "scores" / "predictions"), "key", 3)) == 41
    paths = [path.relative_to(tmp_path / "scores") for path in tree(tmp_path)]
    stored = {str(path) for path in paths if path.suffix == ".parquet"}
    assert stored == {*last["predictions"], *last["rejects_files"]}


def _move_rejects_to_predictions(scores: Path) -> dict[str, Any]:
    """Turn the scores into those of a Halftone that had no folder of rejects."""
    content: dict[str, Any] = json.loads((scores / "metrics.json").read_text())
    old = []
    for path in content["rejects_files"]:
        _, name, file = path.split("/")
        old.append(f"predictions/{name}/{file.replace('part-', 'rejects-')}")
        (scores / path).rename(scores / old[-1])
    shutil.rmtree(scores / "rejects")
    (scores / "metrics.json").write_text(json.dumps({**content, "rejects_files": old}))
    return {**content, "rejects_files": old}


@pytest.mark.usefixtures("plain_page")
def test_rejects_of_an_older_halftone_are_moved_to_their_folder(
    run: Run, draw_images: DrawImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, scores = draw_images(each=3), tmp_path / "scores"
    (folder / "lying" / "a.png").write_bytes(b"")
    (folder / "lying" / "b.png").write_bytes(b"text")
    first = run(folder, only_new=True)
    old = _move_rejects_to_predictions(scores)
    assert scores_directory.holds_rows(str(scores), old["rejects_files"], 2)

    def check_moved() -> dict[str, Any]:
        content: dict[str, Any] = json.loads((scores / "metrics.json").read_text())
        assert [path.split("/")[0] for path in content["rejects_files"]] == ["rejects"]
        assert not [*scores.glob("predictions/*/rejects-*")]
        return content

    # Nothing is new: nothing is scored, and the rejects are a table.
    with monkeypatch.context() as patch:
        patch.setattr(score_images, "_score", lambda *_: pytest.fail("images are scored"))
        assert run(folder, only_new=True)["scored_now"] == 0
    assert {**check_moved(), "rejects_files": None} == {**first, "rejects_files": None}
    for read in READERS.values():
        assert read(str(scores / "rejects"), "path, reason, size_bytes") == [
            (f"{folder}/lying/a.png", "empty", 0),
            (f"{folder}/lying/b.png", "not_an_image", 4),
        ]
    # One of the rejects is mended: the other is kept, in a new file.
    _move_rejects_to_predictions(scores)
    cv2.imwrite(str(folder / "lying" / "a.png"), stripes(0, 97))
    second = run(folder, only_new=True)
    counts = {key: second[key] for key in ("inputs", "rows", "rejects", "scored_now")}
    assert counts == {"inputs": 8, "rows": 7, "rejects": 1, "scored_now": 1}
    check_moved()
    for read in READERS.values():
        assert read(str(scores / "rejects"), "path, reason") == [
            (f"{folder}/lying/b.png", "not_an_image")
        ]
    # A file that is lost is made again.
    (scores / _move_rejects_to_predictions(scores)["rejects_files"][0]).unlink()
    third = run(folder, only_new=True)
    counts = {key: third[key] for key in ("inputs", "rows", "rejects", "scored_now")}
    assert counts == {"inputs": 8, "rows": 7, "rejects": 1, "scored_now": 1}
    assert list(rows_of(tmp_path, third, "rejects_files")) == ["lying/b.png"]


@pytest.mark.usefixtures("plain_page")
def test_scoring_again_writes_nothing_but_a_page_that_is_gone(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    folder = draw_images()
    first, before = {**run(folder), "scored_now": 0}, tree(tmp_path)
    assert run(folder) == first
    assert run(folder, only_new=True) == first
    assert tree(tmp_path) == before
    report = tmp_path / "scores" / "report.html"
    report.unlink()
    assert run(folder) == first
    assert report.read_text() == "a page"
    assert {path for path, stamp in tree(tmp_path).items() if before[path] != stamp} == {report}


@pytest.mark.usefixtures("plain_page")
@pytest.mark.parametrize("only_new", [False, True])
def test_files_that_were_removed_are_made_again(
    run: Run,
    draw_images: DrawImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    only_new: bool,
) -> None:
    folder = draw_images()
    (folder / "lying" / "empty.png").write_bytes(b"")
    first = run(folder, only_new=only_new)
    scores = tmp_path / "scores"
    with hold_output(str(scores), "score"), pytest.raises(LockHeldError):
        run(folder, session=no_spark)

    def no_work(*_: object) -> None:
        raise AssertionError("images are scored")

    for path in (first["predictions"][0], first["rejects_files"][0]):
        (scores / path).rename(tmp_path / "aside")
        with monkeypatch.context() as patch:
            patch.setattr(score_images, "_score", no_work)
            with pytest.raises(AssertionError, match="are scored"):
                run(folder, only_new=only_new)
        (tmp_path / "aside").rename(scores / path)
    (scores / first["predictions"][0]).unlink()
    monkeypatch.setattr(staging, "_MIN_BLOCK", 7)  # the next run cuts other blocks
    monkeypatch.setattr(staging, "_TARGET_BLOCKS", 8)
    again = run(folder, only_new=only_new)
    assert (again["rows"], again["rejects"]) == (40, 1)
    assert len(rows_of(tmp_path, again)) == 40
    assert again["metrics"] == first["metrics"]


def test_without_labels_there_are_no_metrics(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    result = run(draw_images(classes=("x",), each=4))
    assert (result["rows"], result["labelled"], result["metrics"]) == (4, 0, None)
    page = page_of(tmp_path)
    assert page.headings() == ["images", "classes", "uncertain", "run"]
    assert "4 images = 4 predictions + 0 rejects." in page.words()


@pytest.mark.slow
def test_the_page_shows_all_current_scores(
    run: Run, draw_images: DrawImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predictions of two runs, one of whose images is gone; damaged and hostile files."""
    folder = draw_images(classes=("lying", "<b>later</b>"), each=5)
    half = (folder / "lying" / "0001.png").read_bytes()[:300]
    (folder / "lying" / "half.png").write_bytes(half)
    first = run(folder, only_new=True)
    assert first["heat_maps"] is True
    draw_images(classes=("lying", "<b>later</b>"), each=6, start=5)
    (folder / "lying" / "0000.png").unlink()
    result = run(folder, only_new=True)
    page = page_of(tmp_path)
    assert "13 images = 12 predictions + 1 rejects." in page.words()
    assert ["Read in the last run", "2"] in page.rows
    for label, number in result["predicted"].items():
        assert (f"{label}, {number} of {number} image" in page.words()) == (number > 0)
    rows = rows_of(tmp_path, result)
    shown = [alt for alt in page.alts() if alt.startswith("An image taken for ")]
    sheets = [alt for alt in shown if ": " in alt]
    assert sorted(sheets) == sorted(
        f"An image taken for {row['prediction']}: {name}"
        for name, row in rows.items()
        if name != "lying/0000.png"
    )
    # In a class, among the least certain, and perhaps among the mistakes.
    assert "lying/0000.png cannot be read any more" in page.words()
    assert "<b>later" not in (tmp_path / "scores" / "report.html").read_text()
    assert "truncated: " in page.words()
    assert page.alts()[-1] == "The readable part of an image that was rejected as truncated"
    wrong = [row for row in rows.values() if row["label"] not in (None, row["prediction"])]
    assert page.words().count("There are no heat maps: the network has no convolution") == (
        1 + bool(wrong)
    )

    text, before = (tmp_path / "scores" / "report.html").read_text(), tree(tmp_path)
    assert run(folder, only_new=True) == {**result, "scored_now": 0}
    assert tree(tmp_path) == before
    (tmp_path / "scores" / "report.html").unlink()
    monkeypatch.setattr(score_images, "_score", no_spark)
    result["scored_now"] = 0
    assert run(folder, only_new=True) == result
    assert (tmp_path / "scores" / "report.html").read_text() == text
    after = tree(tmp_path)
    assert {path for path in before if after[path] != before[path]} == {
        tmp_path / "scores" / "report.html"
    }
    assert run(folder, only_new=True, heat_maps=False) == {**result, "heat_maps": False}
    assert "heat maps" not in page_of(tmp_path).words()


def test_heat_maps_of_raw_images(
    run: Run, draw_images: DrawImages, tmp_path: Path, config: MakeConfig
) -> None:
    saved_model.save(tmp_path / "model", config(), LABELS, 0.5, build=saved_model.one_place_network)
    result = run(draw_images(classes=("x",), each=12))
    alts = [
        alt for alt in page_of(tmp_path).alts() if alt.startswith("What speaks for upright is ")
    ]
    assert len(alts) == result["predicted"]["upright"] > 0
    assert (
        page_of(tmp_path).words().count("no place speaks for the prediction")
        == (result["predicted"]["lying"])
    )


def test_no_image_that_can_be_decoded(run: Run, draw_images: DrawImages, tmp_path: Path) -> None:
    folder = draw_images(classes=("x",), each=1)
    (folder / "x" / "0000.png").write_bytes(b"no image")
    result = run(folder)
    assert (result["rows"], result["rejects_by_reason"]) == (0, {"not_an_image": 1})
    page = page_of(tmp_path)
    assert "0 of 1 image is scored." in page.words()
    assert page.headings() == ["images", "rejects", "run"]
    before = tree(tmp_path)
    assert run(folder) == {**result, "scored_now": 0}
    assert tree(tmp_path) == before


def _count_pictures(tmp_path: Path) -> int:
    return (tmp_path / "scores" / "report.html").read_text().count("data:image")


@pytest.mark.slow
def test_images_in_archives_are_scored_and_shown_as_files_are(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    folder = draw_images(each=10)
    files = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in folder.rglob("*.png")}
    of_files = {name: row["probability"] for name, row in rows_of(tmp_path, run(folder)).items()}
    num_pictures = _count_pictures(tmp_path)
    shutil.rmtree(folder)
    folder.mkdir()
    names = sorted(files)
    write_tar(folder / "a.tar", {name: files[name] for name in names[:15]})
    result = run(folder)
    write_zip(folder / "b.zip", {name: files[name] for name in names[15:]})
    more = run(folder, only_new=True)
    assert [(each["rows"], each["scored_now"]) for each in (result, more)] == [(15, 15), (20, 5)]
    found = rows_of(tmp_path, more)
    for number, name in enumerate(names):
        row = found[f"{'ab'[number > 14]}.{('tar', 'zip')[number > 14]}!{name}"]
        assert row["probability"] == pytest.approx(of_files[name], abs=1e-6)
        assert row["label"] == name.partition("/")[0]
    assert num_pictures > 0
    assert _count_pictures(tmp_path) == num_pictures


@pytest.mark.usefixtures("plain_page")
def test_only_what_is_new_or_changed_is_scored(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    folder = draw_images(each=40)
    (folder / "lying" / "broken.png").write_bytes(b"")
    first = run(folder, only_new=True)
    before = rows_of(tmp_path, first)
    draw_images(each=50, start=40)
    changed, mended = folder / "lying" / "0003.png", folder / "lying" / "broken.png"
    for path, seed in ((changed, 990), (mended, 991)):
        cv2.imwrite(str(path), stripes(1, seed))
        os.utime(path, (1, 1))
    (folder / "upright" / "0007.png").unlink()  # its prediction is kept
    second = run(folder, only_new=True)
    counts = {key: second[key] for key in ("inputs", "rows", "rejects", "scored_now")}
    assert counts == {"inputs": 101, "rows": 101, "rejects": 0, "scored_now": 22}
    after = rows_of(tmp_path, second)
    assert set(after) == {*before, "lying/broken.png"} | {
        f"{name}/{number:04d}.png" for name in LABELS for number in range(40, 50)
    }
    assert after["lying/0003.png"]["modified"] == 1
    assert after["lying/0003.png"]["probability"] != before["lying/0003.png"]["probability"]
    for name in set(before) - {"lying/0003.png"}:
        assert after[name] == before[name]
    # Files without changed images are those of the first run.
    assert (
        len(set(first["predictions"]) & set(second["predictions"])) == len(first["predictions"]) - 1
    )
    assert second["rejects_files"] == []
    assert run(folder, only_new=True) == {**second, "scored_now": 0}
    (folder / "upright" / "0007.png").write_bytes((folder / "upright" / "0008.png").read_bytes())
    whole = run(folder)
    assert whole["scored_now"] == 101
    assert {name: row["prediction"] for name, row in rows_of(tmp_path, whole).items()} == {
        name: row["prediction"]
        for name, row in {**after, "upright/0007.png": after["upright/0008.png"]}.items()
    }


@pytest.mark.usefixtures("plain_page")
def test_predictions_of_another_model_are_not_kept(
    run: Run, draw_images: DrawImages, tmp_path: Path, config: MakeConfig
) -> None:
    folder = draw_images(each=10)
    run(folder, only_new=True)
    saved_model.save(tmp_path / "model", config(), LABELS, bias=50.0)
    result = run(folder, only_new=True)
    assert (result["scored_now"], result["model_version"]) == (20, "v50.0")
    assert result["predicted"] == {"lying": 20, "upright": 0}


@pytest.mark.usefixtures("plain_page")
def test_a_killed_run_publishes_nothing_and_the_next_one_scores_the_rest(
    run: Run, draw_images: DrawImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = draw_images(each=40)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("halftone.scoring.scores_directory.publish_scores", killed)
        with pytest.raises(KeyboardInterrupt):
            run(folder)
    scores = tmp_path / "scores"
    assert not (scores / "metrics.json").exists()
    stamps = {
        path: path.stat().st_mtime_ns for path in scores.rglob("predictions/*/part-*.parquet")
    }
    lost = sorted(stamps)[0]
    lost.unlink()
    result = run(folder)
    assert {scores / path for path in result["predictions"]} == set(stamps)
    assert not (scores / "_staging").exists()
    assert (scores / "report.html").exists()
    assert [path.name for path in stamps if path.stat().st_mtime_ns != stamps[path]] == [lost.name]
    assert result["rows"] == 80


@pytest.mark.usefixtures("plain_page")
def test_a_catalogue_lists_images_and_their_labels(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    folder = draw_images(each=5)
    table = tmp_path / "list.csv"
    table.write_text("path,label\nlying/0000.png,upright\nupright/0001.png,\nlying/gone.png,\n")
    result = run(folder, catalogue=str(table))
    assert {name: row["label"] for name, row in rows_of(tmp_path, result).items()} == {
        "lying/0000.png": "upright",
        "upright/0001.png": None,
    }
    assert result["rejects_by_reason"] == {"unreadable": 1}
    # The header's spaces and case do not matter; a corrected label arrives with only_new, too.
    for header, label in (("path, Label", "upright"), ("path,label", "lying")):
        table.write_text(f"{header}\nlying/0000.png,{label}\nupright/0001.png,lying\n")
        result = run(folder, catalogue=str(table), only_new=True)
        rows = rows_of(tmp_path, result)
        assert [rows[name]["label"] for name in sorted(rows)] == [label, "lying"]
        assert (result["rows"], result["labelled"]) == (2, 2)
        right = sum(row["prediction"] == row["label"] for row in rows.values())
        assert result["metrics"]["accuracy"] == right / 2
    assert result["scored_now"] == 1
    table.write_text("path,label\nlying/0000.png,standing\n")
    assert error_of(run, folder, catalogue=str(table)) == (
        f"{table}: the label 'standing' is not a class of the model, which has lying, upright; "
        "correct it, or leave it empty if it is not known"
    )


@pytest.mark.usefixtures("plain_page")
def test_the_threshold_may_come_from_a_dataset(
    run: Run,
    draw_images: DrawImages,
    spark: SparkSession,
    tmp_path: Path,
    config: MakeConfig,
) -> None:
    folder = draw_images(each=30)
    settings = config(splits={"validation_fraction": 0.4})
    preprocess(settings, str(folder), str(tmp_path / "dataset"), lambda: spark)
    result = run(
        folder, dataset=tmp_path / "dataset", threshold="best_f1", calibrate=True, views="flip"
    )
    assert result["views"] == "flip"
    for file in result["predictions"]:
        assert pq.read_schema(tmp_path / "scores" / file).metadata == {b"views": b"flip"}
    measured = result["metrics"]
    assert measured["threshold"]["rule"] == "best_f1"
    assert measured["threshold"]["value"] != 0.5
    assert measured["temperature"] != 1.0
    rows = rows_of(tmp_path, result).values()
    value = measured["threshold"]["value"]
    assert all((row["probability"][1] >= value) == (row["prediction"] == "upright") for row in rows)
    assert error_of(run, folder, session=no_spark, threshold="best_f1") == (
        "score.calibrate and a score.threshold that is fitted need the validation split of a "
        "dataset; give it as --dataset"
    )


def error_of(run: Run, *arguments: Any, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        run(*arguments, **settings)
    return str(caught.value)


def test_wrong_input_is_refused_before_spark_starts(
    run: Run, tmp_path: Path, draw_images: DrawImages
) -> None:
    assert error_of(run, tmp_path / "nowhere", session=no_spark) == (
        f"{tmp_path}/nowhere: no such folder; check paths.new_images or --images"
    )
    folder = draw_images(each=3)
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "thesis.doc").write_text("years of work")
    assert error_of(run, folder, session=no_spark) == (
        f"{tmp_path}/scores: exists and holds no scores (it holds thesis.doc); give another "
        "--output"
    )


def test_images_of_which_none_can_be_read_are_refused(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "links"
    empty.mkdir()
    (empty / "a.png").symlink_to("nowhere")
    assert error_of(run, empty) == (
        f"{empty}: none of the 1 images can be read, such as a.png: a dangling link: nowhere does "
        "not exist"
    )


def test_a_table_that_names_an_image_twice_is_refused(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    table = tmp_path / "list.csv"
    table.write_text("path\nlying/0000.png\nlying/0001.png\nlying/0000.png\n")
    assert error_of(run, draw_images(each=3), catalogue=str(table)) == (
        f"{table}: names 1 paths more than once, such as lying/0000.png"
    )


@pytest.mark.slow
def test_slices_of_raw_images(
    run: Run, draw_images: DrawImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = draw_images(classes=("lying", "upright", "later"), each=6)
    lines = [f"{name}/{n:04d}.png,c{n % 2}" for name in ("lying", "later") for n in range(6)]
    catalogue = tmp_path / "cameras.csv"
    catalogue.write_text("\n".join(["path,camera", *lines]))
    first = run(folder)
    assert "slices" not in first
    monkeypatch.setattr(score_images, "_score", lambda *_: pytest.fail("images are scored"))
    sliced = run(folder, slices=("camera",), slice_catalogue=str(catalogue))
    # Images without a label are in no slice.
    (column,) = sliced["slices"]["columns"]
    assert {each["value"] or each["kind"]: each["rows"] for each in column["slices"]} == {
        "c0": 3,
        "c1": 3,
        "not in the catalogue": 6,
    }
    first["scored_now"] = 0
    assert {name: sliced[name] for name in first} == first
    before = tree(tmp_path)
    assert run(folder, slices=("camera",), slice_catalogue=str(catalogue)) == sliced
    assert tree(tmp_path) == before
    assert run(folder) == first


def test_slices_of_raw_images_are_columns_of_their_catalogue(
    run: Run, draw_images: DrawImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = draw_images(classes=("x",), each=4)
    catalogue = tmp_path / "list.csv"
    lines = [f"x/{n:04d}.png,{'lying' if n < 3 else ''},site {n % 2}" for n in range(4)]
    catalogue.write_text("\n".join(["path,label,site", *lines]))
    result = run(folder, catalogue=str(catalogue), slices=("site",))
    (column,) = result["slices"]["columns"]
    assert {each["value"]: each["rows"] for each in column["slices"]} == {"site 0": 2, "site 1": 1}
    assert result["slices"]["catalogue"] == str(catalogue)
    with pytest.raises(InputError, match=r"list\.csv: has no column lens; "):
        run(folder, session=no_spark, catalogue=str(catalogue), slices=("lens",))
    unlabelled = [line.replace("lying", "") for line in lines]
    catalogue.write_text("\n".join(["path,label,site", *unlabelled]))
    capsys.readouterr()
    assert "slices" not in run(folder, catalogue=str(catalogue), slices=("site",))
    assert "score.slices: no image has a label, so there are no slices" in capsys.readouterr().err


@pytest.mark.usefixtures("plain_page")
def test_a_table_for_people_has_each_image(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    folder = draw_images(classes=("lying", "later"), each=2)
    (folder / "later" / "a, b.png").write_bytes(b"")
    result = run(folder)
    path = tmp_path / "scores" / "predictions.csv"
    header, *rows = csv.reader(path.open(newline=""))
    assert header == ["path", "prediction", "probability", "label", "rejected"]
    assert [row[0] for row in rows] == [
        f"{folder}/{name}"
        for name in (
            *("later/0000.png", "later/0001.png", "later/a, b.png"),
            *("lying/0000.png", "lying/0001.png"),
        )
    ]
    assert [(row[3], row[4]) for row in rows] == [
        *[("", "")] * 2, ("", "empty: 0 bytes"), *[("lying", "")] * 2
    ]  # fmt: skip
    stored = rows_of(tmp_path, result)
    for image, prediction, probability, _, rejected in rows:
        if not rejected:
            row = stored[os.path.relpath(image, folder)]
            assert prediction == row["prediction"]
            assert float(probability) == pytest.approx(
                row["probability"][LABELS.index(prediction)], abs=1e-6
            )
    # It is made again from the files of predictions, and left out where there are more images.
    before = path.read_bytes()
    path.unlink()
    assert run(folder)["scored_now"] == 0
    assert path.read_bytes() == before
    assert run(folder, max_csv_rows=5) == {**result, "scored_now": 0}
    assert path.exists()
    run(folder, max_csv_rows=4)
    assert not path.exists()
