"""Scoring with real Spark and a small network whose answers are known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from sklearn import metrics as reference

import saved_model
from conftest import draw_stripes, small_config
from delta_readers import READERS
from halftone import cli
from halftone.config import Config, PixelSpec
from halftone.dataset import manifest
from halftone.errors import InputError
from halftone.locking.lock import LockHeldError, LockLostError
from halftone.locking.output import hold_output
from halftone.preprocess.run import preprocess
from halftone.scoring import score_dataset
from halftone.scoring.spark_scorer import SparkScorer

MakeConfig = Callable[..., Config]
SPLITS = {"validation_fraction": 0.2, "test_fraction": 0.4}


CLASSES = ("a", "b", "c")


@pytest.fixture(scope="module")
def drawn(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images and their dataset; tests may add images, and must not change the dataset."""
    root = tmp_path_factory.mktemp("drawn")
    images = draw_stripes(root / "images", CLASSES, each=40)
    preprocess(small_config(splits=SPLITS), str(images), str(root / "dataset"), lambda: spark)
    return root


@pytest.fixture
def dataset(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the dataset of `drawn` that a test may change."""
    return Path(shutil.copytree(drawn / "dataset", tmp_path / "dataset"))


@pytest.fixture
def save_model(tmp_path: Path, dataset: Path, config: MakeConfig) -> Callable[..., Path]:
    def save(bias: float = 0.0, **card: Any) -> Path:
        card = {"fingerprint": manifest.read_manifest(str(dataset)).fingerprint, **card}
        labels = card.pop("labels", ["a", "b", "c"])
        return saved_model.save(tmp_path / "model", config(splits=SPLITS), labels, bias, **card)

    return save


@pytest.fixture
def run(
    spark: SparkSession, tmp_path: Path, dataset: Path, config: MakeConfig
) -> Callable[..., dict[str, Any]]:
    def run_(
        model: Path,
        session: Callable[[], SparkSession] = lambda: spark,
        baseline: Optional[str] = None,
        folder: str = "scores",
        **score: Any,
    ) -> dict[str, Any]:
        """Score; return the content of metrics.json."""
        scores = score_dataset.score_dataset(
            config(score={"batch_size": 7, **score}, paths={"baseline": baseline}),
            str(dataset),
            str(model),
            str(tmp_path / folder),
            session,
        )
        return scores.to_json()

    return run_


Run = Callable[..., dict[str, Any]]
SaveModel = Callable[..., Path]


def no_spark() -> SparkSession:
    raise AssertionError("Spark was started")


def predictions(tmp_path: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        row
        for path in result["predictions"]
        for row in pq.read_table(tmp_path / "scores" / path).to_pylist()
    ]


def shard_rows(dataset: Path, split: str) -> list[dict[str, Any]]:
    shards = manifest.read_shards(str(dataset), manifest.read_manifest(str(dataset)), split)
    return [row for shard in shards for row in pq.read_table(dataset / shard.path).to_pylist()]


@pytest.mark.slow
def test_predictions_are_those_of_the_network_and_metrics_those_of_scikit_learn(
    run: Run, save_model: SaveModel, dataset: Path, tmp_path: Path
) -> None:
    result = run(save_model())
    rows = shard_rows(dataset, "test")
    images = np.stack([np.frombuffer(row["image"], np.uint8) for row in rows]).reshape(
        -1, 16, 16, 1
    )
    expected = saved_model.network((16, 16, 1), 3).predict(images, verbose=0)
    got = predictions(tmp_path, result)
    assert [row["key"] for row in got] == [row["key"] for row in rows]
    assert [row["label"] for row in got] == [row["label"] for row in rows]
    np.testing.assert_allclose([row["probability"] for row in got], expected, atol=1e-6)
    assert [row["prediction"] for row in got] == ["abc"[best] for best in expected.argmax(axis=1)]
    labels, guesses = [row["label"] for row in got], [row["prediction"] for row in got]
    assert result["rows"] == len(rows)
    assert result["accuracy"] == pytest.approx(reference.accuracy_score(labels, guesses), abs=1e-9)
    macro = reference.precision_recall_fscore_support(
        labels, guesses, average="macro", zero_division=0
    )
    assert [result[name] for name in ("precision", "recall", "f1")] == pytest.approx(
        macro[:3], abs=1e-9
    )
    assert result["confusion"] == reference.confusion_matrix(labels, guesses).tolist()
    loss = reference.log_loss(labels, [row["probability"] for row in got], labels=list("abc"))
    assert result["loss"] == pytest.approx(loss, abs=1e-6)


def test_published_files(run: Run, save_model: SaveModel, dataset: Path, tmp_path: Path) -> None:
    result = run(save_model())
    scores = tmp_path / "scores"
    assert json.loads((scores / "metrics.json").read_text()) == result
    assert result["model_version"] == "v0.0"
    assert result["fingerprint"] == manifest.read_manifest(str(dataset)).fingerprint
    assert "<!doctype html>" in (scores / "report.html").read_text().lower()
    files = {str(path.relative_to(scores)) for path in scores.rglob("*.*") if path.is_file()}
    cards = {"model_card.md", "model_card.html"}
    others = {"metrics.json", "report.html", "_lock/000001.json"}
    log = {f"predictions/_delta_log/{version:020d}.json" for version in (0, 1)}
    assert files == others | cards | log | {*result["predictions"]}
    keys = sorted((row["key"], row["prediction"]) for row in predictions(tmp_path, result))
    for read in READERS.values():
        assert read(str(scores / "predictions"), "key, prediction") == keys
    row = f"| Accuracy | {result['accuracy']:.4f} |"
    assert row in (scores / "model_card.md").read_text()


def test_scores_without_a_card_get_one_without_spark(
    run: Run, save_model: SaveModel, tmp_path: Path
) -> None:
    model = save_model()
    first = run(model)
    path = tmp_path / "scores" / "model_card.md"
    text = path.read_text()
    path.unlink()
    assert run(model, session=no_spark) == first
    assert path.read_text() == text


def test_another_split(run: Run, save_model: SaveModel, dataset: Path) -> None:
    result = run(save_model(), split="validation")
    assert (result["split"], result["rows"]) == (
        "validation",
        len(shard_rows(dataset, "validation")),
    )


def test_scoring_again_does_nothing(run: Run, save_model: SaveModel, tmp_path: Path) -> None:
    model = save_model()
    first = run(model)
    stamp = (tmp_path / "scores" / "report.html").stat().st_mtime_ns
    with hold_output(str(tmp_path / "scores"), "score"):
        assert run(model, session=no_spark) == first
        with pytest.raises(LockHeldError, match=f"^{tmp_path}/scores: is in use by process "):
            run(model, session=no_spark, split="validation")
    assert (tmp_path / "scores" / "report.html").stat().st_mtime_ns == stamp


def test_files_that_were_removed_or_damaged_are_made_again(
    run: Run, save_model: SaveModel, dataset: Path, tmp_path: Path
) -> None:
    model = save_model()
    first = run(model)
    scores = tmp_path / "scores"
    removed, cut = (scores / path for path in first["predictions"][:2])
    report = scores / "report.html"
    contents = {path: path.read_bytes() for path in (removed, cut, report)}
    for damaged in contents:
        damaged.rename(tmp_path / "aside")
        with pytest.raises(AssertionError, match="Spark was started"):
            run(model, session=no_spark)
        (tmp_path / "aside").rename(damaged)
    report.unlink()
    removed.unlink()
    cut.write_bytes(contents[cut][:100])
    again = run(model)
    assert {**again, "scored_at": first["scored_at"], "secs": first["secs"]} == first
    assert len(predictions(tmp_path, again)) == again["rows"]
    assert {path: path.read_bytes() for path in (removed, cut)} == {
        path: contents[path] for path in (removed, cut)
    }
    assert "<!doctype html>" in report.read_text().lower()
    # A shard of the dataset cannot be made again.
    data = manifest.read_manifest(str(dataset))
    (shard,) = manifest.read_shards(str(dataset), data, "test")[:1]
    (dataset / shard.path).write_bytes(b"PAR1")
    assert error_of(run, model) == (
        f"{dataset}: {shard.path} has 4 bytes instead of {shard.size_bytes:,}; restore it from a "
        "backup, or remove the dataset and run jobs/preprocess.py again"
    )


def test_an_output_that_cannot_be_written_is_found_before_spark_starts(
    run: Run, save_model: SaveModel, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert error_of(run, save_model(), folder="file/scores") == (
        f"{tmp_path}/file/scores: cannot be written: it, or a part of its path, is a file; give "
        "another path"
    )


def test_a_lost_lock_publishes_nothing(
    run: Run, save_model: SaveModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(save_model())
    lock_file = tmp_path / "scores" / "_lock" / "000002.json"

    def lose_lock(*_: object) -> str:
        (lock_file.parent / "000003.json").write_text(lock_file.read_text())
        return ""

    monkeypatch.setattr(score_dataset, "_render_report", lose_lock)
    with pytest.raises(LockLostError, match="has taken the lock over"):
        run(save_model(bias=50.0))
    assert json.loads((tmp_path / "scores" / "metrics.json").read_text()) == first
    assert (tmp_path / "scores" / "report.html").stat().st_size > 0


@pytest.mark.slow
def test_a_new_model_replaces_the_scores_and_leaves_no_files(
    run: Run, save_model: SaveModel, tmp_path: Path
) -> None:
    first = run(save_model())
    second = run(save_model(bias=50.0))
    assert second["run"] != first["run"]
    assert {row["prediction"] for row in predictions(tmp_path, second)} == {"a"}
    folder = tmp_path / "scores" / "predictions"
    assert {path.name for path in folder.iterdir()} == {second["run"], "_delta_log"}
    for read in READERS.values():
        assert {name for (name,) in read(str(folder), "prediction", 2)} == {"a"}


def test_a_killed_run_keeps_the_old_scores_and_a_rerun_succeeds(
    run: Run, save_model: SaveModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(save_model())
    model = save_model(bias=50.0)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(score_dataset, "_render_report", killed)
        with pytest.raises(KeyboardInterrupt):
            run(model)
    assert json.loads((tmp_path / "scores" / "metrics.json").read_text()) == first
    assert len(predictions(tmp_path, first)) == first["rows"]
    assert run(model)["model_version"] == "v50.0"


def test_rows_hold_model_version_and_fingerprint(
    run: Run, save_model: SaveModel, dataset: Path, tmp_path: Path
) -> None:
    result = run(save_model())
    rows = predictions(tmp_path, result)
    fingerprint = manifest.read_manifest(str(dataset)).fingerprint
    assert {(row["model_version"], row["fingerprint"]) for row in rows} == {("v0.0", fingerprint)}


@pytest.mark.slow
def test_only_new_shards_of_a_grown_dataset_are_scored(
    run: Run,
    save_model: SaveModel,
    spark: SparkSession,
    dataset: Path,
    config: MakeConfig,
    drawn: Path,
    tmp_path: Path,
) -> None:
    model = save_model()
    first = run(model, only_new=True)
    scores = tmp_path / "scores"
    stamps = {path: (scores / path).stat().st_mtime_ns for path in first["predictions"]}
    images = draw_stripes(drawn / "images", CLASSES, each=60, start=40)
    preprocess(config(splits=SPLITS), str(images), str(dataset), lambda: spark)
    second = run(model, only_new=True)
    assert second["rows"] == len(shard_rows(dataset, "test")) > first["rows"]
    # The last shard was not full; its rows are in a new shard now.
    last = first["predictions"][-1]
    assert set(first["predictions"]) - set(second["predictions"]) == {last}
    del stamps[last]
    for path, stamp in stamps.items():
        assert (scores / path).stat().st_mtime_ns == stamp
    whole = run(model, folder="whole")
    assert whole["confusion"] == second["confusion"]
    assert whole["loss"] == second["loss"]
    # Another model scores all shards again.
    third = run(save_model(bias=50.0), only_new=True)
    assert not set(third["predictions"]) & set(second["predictions"])
    assert {row["prediction"] for row in predictions(tmp_path, third)} == {"a"}


def test_predictions_of_a_killed_run_are_not_made_again(
    run: Run, save_model: SaveModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    model = save_model()
    with monkeypatch.context() as patch:
        patch.setattr(score_dataset, "_render_report", killed)
        with pytest.raises(KeyboardInterrupt):
            run(model)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "scores").rglob("*.parquet")}
    result = run(model)
    assert {tmp_path / "scores" / path for path in result["predictions"]} == set(stamps)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_comparison_with_earlier_scores(run: Run, save_model: SaveModel, tmp_path: Path) -> None:
    run(save_model(bias=50.0), folder="earlier")
    run(save_model(), baseline=str(tmp_path / "earlier"))
    page = (tmp_path / "scores" / "report.html").read_text()
    assert f"{tmp_path}/earlier" in page
    model = save_model()
    assert error_of(run, model, baseline=str(tmp_path / "nowhere")) == (
        f"{tmp_path}/nowhere: no scores of a split here; check paths.baseline or --baseline, which "
        "is the --output of an earlier run of jobs/score.py"
    )


def error_of(run: Run, *arguments: Any, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        run(*arguments, session=no_spark, **settings)
    return str(caught.value)


def test_a_model_whose_weights_are_not_finite_is_refused(
    run: Run, save_model: SaveModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_model(bias=float("nan"))
    assert cli.run_with_exit_code(lambda: run(model, session=no_spark)) == 2
    assert capsys.readouterr().err == (
        f"error: {model}/network-vnan.keras: 1 of the network's 2 arrays of weights "
        "(layers/dense/vars/1) holds NaN or infinity: the training diverged, and the model "
        "predicts nothing. Train again with a lower train.learning_rate or with train.clip_norm\n"
    )
    assert not (tmp_path / "scores").exists()


def test_a_model_with_other_pixels_is_refused(
    run: Run, save_model: SaveModel, dataset: Path, tmp_path: Path
) -> None:
    model = save_model(pixels=PixelSpec(height_px=32, width_px=16, channels=3))
    assert error_of(run, model) == (
        f"the model at {model} does not fit the dataset at {dataset}: pixels differ: height_px 32 "
        "and 16, channels 3 and 1. Preprocess with the model's settings, or train on this dataset"
    )


def test_a_model_with_other_classes_is_refused(
    run: Run, save_model: SaveModel, dataset: Path
) -> None:
    model = save_model(labels=["a", "b", "d"])
    assert error_of(run, model) == (
        f"the model at {model} does not fit the dataset at {dataset}: the model knows the classes "
        "a, b, d; the dataset has a, b, c"
    )


def test_a_missing_model_and_a_missing_network_are_refused(
    run: Run, save_model: SaveModel, tmp_path: Path
) -> None:
    assert error_of(run, tmp_path / "nowhere") == (
        f"{tmp_path}/nowhere: no model here (no model.json); run jobs/train.py, or check "
        "paths.model or --model"
    )
    model = save_model()
    (model / "network-v0.0.keras").unlink()
    assert error_of(run, model) == (
        f"{model}: network-v0.0.keras is missing; restore it, or run jobs/train.py again with this "
        "--output, which makes it from checkpoints/"
    )
    (save_model() / "history.json").unlink()
    assert error_of(run, model) == (
        f"{model}: history.json is missing; restore it, or run jobs/train.py again with this "
        "--output, which makes it from checkpoints/"
    )


def test_a_model_of_a_newer_version_is_refused(run: Run, save_model: SaveModel) -> None:
    model = save_model(schema_version=2)
    assert error_of(run, model) == (
        f"{model}/model.json: schema version 2 is newer than 1, the newest that this Halftone "
        "reads; upgrade Halftone"
    )


def test_an_empty_split_is_refused(
    spark: SparkSession,
    run: Run,
    save_model: SaveModel,
    dataset: Path,
    tmp_path: Path,
    config: MakeConfig,
) -> None:
    model = save_model()
    raw = json.loads((dataset / "manifest.json").read_text())
    raw["files"] = [file for file in raw["files"] if file["split"] != "test"]
    (dataset / "manifest.json").write_text(json.dumps(raw))
    assert error_of(run, model) == (
        f"{dataset}: the test split is empty; choose another score.split, or preprocess with a "
        "larger splits.test_fraction"
    )


def test_an_output_that_holds_other_files_is_refused(
    run: Run, save_model: SaveModel, tmp_path: Path
) -> None:
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "thesis.doc").write_text("years of work")
    assert error_of(run, save_model()) == (
        f"{tmp_path}/scores: exists and holds no scores (it holds thesis.doc); give another "
        "--output"
    )


SLICES = ("camera",)


def write_cameras(dataset: Path, path: Path, names: str = "xyz") -> Path:
    """Write a catalogue in which every fourth test image is missing; return its path."""
    root = manifest.read_manifest(str(dataset)).images
    rows = sorted(row["key"].removeprefix(f"{root}/") for row in shard_rows(dataset, "test"))
    lines = [f"{key},{names[i % 3]}" for i, key in enumerate(rows) if i % 4]
    path.write_text("\n".join(["path,camera", *lines]))
    return path


def rows_by_slice(result: dict[str, Any]) -> dict[str, int]:
    (column,) = result["slices"]["columns"]
    return {each["value"] or each["kind"]: each["rows"] for each in column["slices"]}


@pytest.mark.slow
def test_other_slices_are_computed_from_the_predictions_that_exist(
    run: Run,
    save_model: SaveModel,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, catalogue = save_model(), write_cameras(dataset, tmp_path / "cameras.csv")
    first = run(model, calibrate=True)
    assert "slices" not in first
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "scores").rglob("*.parquet")}

    def fail(*_: object) -> None:
        raise AssertionError("the validation split is predicted")

    monkeypatch.setattr(SparkScorer, "predict_validation", fail)
    sliced = run(model, calibrate=True, slices=SLICES, slice_catalogue=str(catalogue))
    assert {**sliced, "slices": None, "scored_at": None, "secs": None} == {
        **first,
        **{"slices": None, "scored_at": None, "secs": None},
    }
    counts = rows_by_slice(sliced)
    num_missing = -(-first["rows"] // 4)
    assert counts["not in the catalogue"] == num_missing
    assert sum(counts.values()) == first["rows"]
    assert set(counts) == {"x", "y", "z", "not in the catalogue"}
    report = (tmp_path / "scores" / "report.html").read_text()
    assert 'id="slices"' in report
    again = run(model, no_spark, calibrate=True, slices=SLICES, slice_catalogue=str(catalogue))
    assert again == sliced
    write_cameras(dataset, catalogue, "uvw")  # as many bytes
    changed = run(model, calibrate=True, slices=SLICES, slice_catalogue=str(catalogue))
    assert set(rows_by_slice(changed)) == {"u", "v", "w", "not in the catalogue"}
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "scores").rglob("*.parquet")}
    assert after == written


def test_slices_without_their_column_or_a_catalogue_are_refused_before_spark_starts(
    run: Run, save_model: SaveModel, dataset: Path, tmp_path: Path
) -> None:
    model, catalogue = save_model(), write_cameras(dataset, tmp_path / "cameras.csv")
    with pytest.raises(InputError) as caught:
        run(model, no_spark, slices=("lens",), slice_catalogue=str(catalogue))
    assert str(caught.value) == (
        f"{catalogue}: has no column lens; it has 'path', 'camera'. Correct score.slices, or give "
        "another score.slice_catalogue"
    )
    with pytest.raises(InputError) as caught:
        run(model, no_spark, slices=SLICES)
    assert str(caught.value) == (
        "score.slices is camera, and no catalogue has these columns: the images of "
        f"{manifest.read_manifest(str(dataset)).images} were listed without one. Give one as "
        "score.slice_catalogue"
    )
