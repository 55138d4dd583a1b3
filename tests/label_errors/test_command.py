"""From predictions to files, what is kept and what is refused; and the job from its start."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from conftest import draw_stripes, small_config
from drawn_label_errors import write_predictions
from halftone import storage
from halftone.config import Config, ConfigError, load_config
from halftone.dataset import manifest
from halftone.errors import InputError
from halftone.label_errors import command, cross_validation
from halftone.label_errors.cross_validation import FoldScores
from halftone.preprocess.run import preprocess
from job_runs import run
from report_pages import Page


@pytest.fixture
def config(prepared_dataset: Path, tmp_path: Path) -> Config:
    images = str(prepared_dataset.parent / "images")
    return small_config(paths={"images": images, "label_errors": str(tmp_path / "out")})


def no_session() -> NoReturn:
    raise AssertionError("nothing is left to do")


class Folds:
    """Stands in for the trainings: a model that is sure, and disagrees with two labels."""

    def __init__(self, dataset: Path, folder: Path) -> None:
        data = manifest.read_manifest(str(dataset))
        shards = [str(dataset / file.path) for file in manifest.read_shards("", data, "validation")]
        self.scores = FoldScores(0, str(dataset), data, shards, [], "run-1")
        self.disagreed: list[str] = []
        for number, shard in enumerate(shards):
            rows = storage.read_table(shard, ["key", "label"]).to_pydict()
            is_second = np.array([label == data.labels[1] for label in rows["label"]])
            second = np.where(is_second, 0.9, 0.1)
            if number < 2:
                second[number] = 1 - second[number]
                self.disagreed.append(rows["key"][number])
            path = str(folder / f"{number}.parquet")
            probabilities = np.stack([1 - second, second], axis=1).astype(np.float32)
            write_predictions(path, rows["key"], rows["label"], probabilities)
            self.scores.predictions.append(path)

    def run(self, config: Config, output: str) -> list[FoldScores]:
        return [self.scores]


@pytest.fixture
def folds(prepared_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folds:
    drawn = Folds(prepared_dataset, tmp_path)
    monkeypatch.setattr(cross_validation, "run_folds", drawn.run)
    return drawn


@pytest.mark.slow
def test_files_are_published_kept_and_replaced(
    spark: SparkSession, config: Config, folds: Folds, tmp_path: Path
) -> None:
    found, output = command.find_label_errors(config, lambda: spark)
    assert output == str(tmp_path / "out")
    validation, test = (
        sum(folds.scores.data.counts[split].values()) for split in ("validation", "test")
    )
    assert (found.rows, found.issues, found.unjudged.test) == (validation, 2, test)
    table = pq.read_table(f"{output}/label_errors.parquet")
    assert table.num_rows == validation
    assert sorted(table["key"].to_pylist()[:2]) == sorted(folds.disagreed)
    assert table["is_confident"].to_pylist()[:3] == [True, True, False]
    page = Page(Path(output, "label_errors.html").read_text())
    assert len(page.all("img")) == min(100, validation)
    with open(f"{output}/corrections.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert (len(rows), found.corrections.rows) == (120, 120)
    assert [bool(row["suggested_label"]) for row in rows] == [True] * 2 + [False] * 118
    assert not Path(output, "_staging").exists()

    # A missing file is made again.
    html = Path(output, "label_errors.html").read_text()
    Path(output, "label_errors.html").unlink()
    found, _ = command.find_label_errors(config, lambda: spark)
    assert Path(output, "label_errors.html").read_text() == html

    # The same predictions, although a person has edited the corrections.
    with open(f"{output}/corrections.csv", "a") as file:
        file.write("lying/more.png,lying,,,,,\n")
    assert command.find_label_errors(config, no_session) == (found, output)

    # Other predictions.
    folds.scores = folds.scores._replace(run="run-2")
    with pytest.raises(InputError) as error:
        command.find_label_errors(config, no_session)
    assert str(error.value) == (
        f"{output}/corrections.csv: was edited, and the findings have changed since; move it to "
        "another place, then run the same command again"
    )
    shutil.move(f"{output}/corrections.csv", tmp_path / "edited.csv")
    again, _ = command.find_label_errors(config, lambda: spark)
    assert again.run != found.run
    names = [path.name for path in Path(output, "label_errors.parquet").iterdir()]
    assert names == again.files
    assert json.loads(Path(output, "label_errors.json").read_text())["files"] == names


def test_a_folder_with_other_files_is_refused(config: Config, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"out: exists and holds no label errors .* thesis\.txt"):
        command.find_label_errors(config, no_session)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ({"images": "/images"}, "paths.label_errors is not set; .* --output URL"),
        ({"label_errors": "/out"}, "paths.images is not set; .* --images URL"),
    ],
)
def test_a_missing_path_is_an_error(paths: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        command.find_label_errors(small_config(paths=paths), no_session)


CLASSES = ("lying", "upright")


def draw_flipped(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Draw 120 images, and write a table that has the wrong label for 8; return both labels.

    A copy of one of the 8 has the wrong label too.
    """
    images = draw_stripes(tmp_path / "images", CLASSES, each=60)
    shutil.copy(images / "lying" / "0000.png", images / "lying" / "copy.png")
    labels = {}
    for path in sorted(images.glob("*/*.png")):
        true_label, other = sorted(CLASSES, key=lambda name: name != path.parent.name)
        is_wrong = path.stem in ("0000", "0001", "0002", "0003", "copy")
        labels[f"{true_label}/{path.name}"] = (other if is_wrong else true_label, true_label)
    with open(tmp_path / "flipped.csv", "w", newline="") as file:
        rows = [(path, label) for path, (label, _) in labels.items()]
        csv.writer(file).writerows([("path", "label"), *rows])
    return labels


def dataset_labels(dataset: Path) -> dict[str, str]:
    data = manifest.read_manifest(str(dataset))
    rows = [
        row
        for file in manifest.read_shards("", data)
        for row in storage.read_table(str(dataset / file.path), ["key", "label"]).to_pylist()
    ]
    return {"/".join(row["key"].split("/")[-2:]): row["label"] for row in rows}


@pytest.mark.slow
def test_from_flipped_labels_to_a_corrected_dataset(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = draw_flipped(tmp_path)
    settings: dict[str, Any] = {
        "name": "stripes",
        "seed": 7,
        "pixels": {"height_px": 16, "width_px": 16},
        "splits": {"test_fraction": 0.0},
        "preprocess": {"catalogue": str(tmp_path / "flipped.csv")},
        "tracking": {"enabled": False},
        "spark": {"master": "local[1, 4]"},
        "train": {
            "epochs": 25,
            "batch_size": 16,
            "learning_rate": 0.01,
            "model": {"name": "convnet", "filters": [8], "dense": [8]},
        },
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    out = tmp_path / "out"
    arguments = ["--config", tmp_path / "config.yaml", "--folds", 2, "--output", out]
    arguments += ["--images", tmp_path / "images"]
    lines = run("label_errors", *arguments)
    assert lines[-1] == f"label errors: {out}"
    assert "1 rejects and duplicates were not judged" in lines

    ranked = pq.read_table(out / "label_errors.parquet").to_pylist()
    assert (len(ranked), {row["fold"] for row in ranked}) == (120, {0, 1})
    wrong = {path for path, (label, true_label) in labels.items() if label != true_label}
    first = {row["key"].removeprefix(f"{tmp_path}/images/") for row in ranked[:8]}
    assert first == wrong - {"lying/copy.png"}

    names = ["label_errors.json", "label_errors.html", "corrections.csv"]
    times = [(out / name).stat().st_mtime_ns for name in names]
    paths = {"images": str(tmp_path / "images"), "label_errors": str(out)}
    config = load_config(str(tmp_path / "config.yaml"), ["splits.folds=2"], paths)
    command.find_label_errors(config, no_session)
    assert capsys.readouterr().out.count(": already finished, skipped\n") == 2
    assert [(out / name).stat().st_mtime_ns for name in names] == times

    # A person accepts suggestions, and writes the label of images without one.
    with open(out / "corrections.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        _, true_label = labels[row["path"]]
        if row["suggested_label"] == true_label:
            row["accept"] = "yes"
        else:
            row["label"] = true_label
    accepted = {row["path"] for row in rows if row["accept"]}
    assert accepted <= wrong
    assert {"lying/0000.png", "lying/copy.png"} <= accepted
    assert len(accepted) >= 6
    with open(tmp_path / "accepted.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    corrected = small_config(preprocess={"catalogue": str(tmp_path / "accepted.csv")})
    data, _ = preprocess(
        corrected, str(tmp_path / "images"), str(tmp_path / "corrected"), lambda: spark
    )
    assert (data.rows, data.duplicates, data.rejects) == (120, 1, 0)
    expected = {path: true_label for path, (_, true_label) in labels.items()}
    del expected["lying/copy.png"]
    assert dataset_labels(tmp_path / "corrected") == expected
