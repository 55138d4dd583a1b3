"""Models opened by MLflow's own clients."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from mlflow.exceptions import MlflowException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import served
from conftest import small_config
from halftone import images
from halftone.config import PixelSpec
from halftone.metrics import calibration
from halftone.scoring import score_images

SPEC = PixelSpec(height_px=16, width_px=16)
BROKEN = {"empty.jpg": b"", "half.jpg": served.jpeg(0)[:300], "text.jpg": b"not an image"}
# Predicts the label and the probability of "upright" of two images, and the reject of another.
CLEAN_SCRIPT = """
import json, sys
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = pandas.DataFrame({"url": sys.argv[2:]})
answer = model.predict(rows, params={"threshold": 0.9})
import halftone
print(json.dumps([halftone.__file__, answer.to_dict(orient="records")]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served.write_folder(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def model(folder: Path) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(str(folder))


def pixels(*numbers: int) -> np.ndarray:
    return np.stack([images.decode(served.jpeg(number), SPEC).pixels for number in numbers])


def second_class(answer: pd.DataFrame) -> list[float]:
    return [row["upright"] for row in answer["probability"]]


def test_each_way_of_giving_an_image(model: mlflow.pyfunc.PyFuncModel, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(served.jpeg(1))
    rows = pd.DataFrame(
        {
            "image": [served.jpeg(0), None, None, b"no image"],
            "url": [None, f"file://{tmp_path}/1.jpg", None, None],
            "pixels": [None, None, pixels(2)[0].tolist(), None],
        }
    )
    answer = model.predict(rows)
    assert list(answer) == ["label", "probability", "reason", "detail"]
    expected = served.expected(pixels(0, 1, 2))
    for row, of_row in zip(answer["probability"], expected):
        assert list(row) == ["lying", "upright"]
        assert list(row.values()) == pytest.approx(of_row, abs=1e-6)
    assert list(answer["label"]) == [
        *(served.LABELS[int(of_row[1] >= 0.5)] for of_row in expected),
        None,
    ]
    assert answer["probability"][3] == {}
    assert list(answer["reason"]) == [None, None, None, "not_an_image"]
    assert list(answer["detail"]) == [
        *(None, None, None),
        "8 bytes that start with 6e 6f 20 69 6d 61 67 65",
    ]


def test_parameters(model: mlflow.pyfunc.PyFuncModel) -> None:
    rows = pd.DataFrame({"image": [served.jpeg(number) for number in range(4)]})
    expected = served.expected(pixels(*range(4)))
    scores = sorted(expected[:, 1])
    threshold = float(scores[1] + scores[2]) / 2
    answer = model.predict(rows, params={"threshold": threshold, "temperature": 2})
    scaled = calibration.apply_temperature(expected, 2.0)
    assert second_class(answer) == pytest.approx(scaled[:, 1], abs=1e-6)
    # The threshold is for scaled probabilities.
    assert list(answer["label"]) == [served.LABELS[int(row[1] >= threshold)] for row in scaled]
    for params, message in {
        ("threshold", 1.0): "threshold is 1.0; it must be between 0 and 1",
        ("temperature", 0.0): "temperature is 0.0; it must be above 0",
        ("temperature", float("inf")): "temperature is inf; it must be above 0",
    }.items():
        with pytest.raises(MlflowException) as caught:
            model.predict(rows, params=dict([params]))
        assert caught.value.message == message
        assert caught.value.get_http_status_code() == 400


def test_wrong_requests(model: mlflow.pyfunc.PyFuncModel) -> None:
    for rows, message in {
        "url": "row 1 gives no image; give exactly one of image, url, pixels",
        "pixels": "row 0: pixels has the shape (1,); the model takes (16, 16, 1): height, width, "
        "channels. Give images of another size as image or url",
    }.items():
        values = ["a.jpg", None] if rows == "url" else [[1], [2]]
        with pytest.raises(MlflowException) as caught:
            model.predict(pd.DataFrame({rows: values}))
        assert caught.value.message == message
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_rows_are_predicted_in_blocks_and_keep_their_order(folder: Path) -> None:
    small = mlflow.pyfunc.load_model(str(folder), model_config={"batch_size": 4})
    numbers = [*range(5), *range(5)]
    contents = [served.jpeg(number) for number in numbers]
    contents[6] = b""
    answer = small.predict(pd.DataFrame({"image": contents}, index=range(10, 20)))
    assert list(answer.index) == list(range(10, 20))
    assert list(answer["reason"]) == [None] * 6 + ["empty"] + [None] * 3
    expected = served.expected(pixels(*numbers))[:, 1]
    known = [number for number in range(10) if number != 6]
    assert second_class(answer.iloc[known]) == pytest.approx(expected[known], abs=1e-6)
    assert len(small.predict(pd.DataFrame({"image": []}, dtype=object))) == 0


def test_the_models_own_example(model: mlflow.pyfunc.PyFuncModel) -> None:
    gradient = np.broadcast_to(np.linspace(0, 255, 16).astype(np.uint8)[:, None], (1, 16, 16, 1))
    answer = model.predict(model.input_example)
    assert second_class(answer) == pytest.approx(served.expected(gradient)[:, 1], abs=1e-6)


def test_views_and_threshold_of_the_models_own_settings(tmp_path: Path) -> None:
    folder = served.write_folder(tmp_path, score={"views": "flip", "threshold": 0.99})
    model = mlflow.pyfunc.load_model(str(folder))
    answer = model.predict(pd.DataFrame({"image": [served.jpeg(1), served.jpeg(3)]}))
    both = pixels(1, 3)
    expected = (served.expected(both) + served.expected(both[:, :, ::-1])) / 2
    assert second_class(answer) == pytest.approx(expected[:, 1], abs=1e-6)
    assert list(answer["label"]) == ["lying", "lying"]


def test_settings_of_the_client(folder: Path, tmp_path: Path) -> None:
    settings = {"url_prefixes": [f"{tmp_path}/"]}
    limited = mlflow.pyfunc.load_model(str(folder), model_config=settings)
    with pytest.raises(MlflowException, match="row 0: /etc/passwd may not be read; this model"):
        limited.predict(pd.DataFrame({"url": ["/etc/passwd"]}))
    with pytest.raises(MlflowException) as caught:
        mlflow.pyfunc.load_model(str(folder), model_config={"threads": 77})
    assert caught.value.message == (
        "model_config: threads is 77, but TensorFlow has computed in this process already, with "
        "another number of threads; leave threads out, or load the model first"
    )
    with pytest.raises(MlflowException) as caught:
        mlflow.pyfunc.load_model(str(folder), model_config={"batch_size": 0})
    assert caught.value.message == (
        "model_config: batch_size: Input should be greater than or equal to 1"
    )


@pytest.mark.slow
def test_spark_udf(folder: Path, spark: SparkSession, tmp_path: Path) -> None:
    contents = {f"{number}.jpg": served.jpeg(number) for number in range(6)}
    for name, content in {**contents, **BROKEN}.items():
        (tmp_path / name).write_bytes(content)
    predict = mlflow.pyfunc.spark_udf(spark, str(folder), env_manager="local")
    rows = spark.createDataFrame(
        [(name, str(tmp_path / name)) for name in (*contents, *BROKEN, "none.jpg")],
        "name string, url string",
    ).coalesce(1)
    answer = rows.select("name", predict(F.struct("url")).alias("answer")).select(
        "name", "answer.*"
    )
    assert answer.schema.simpleString() == (
        "struct<name:string,label:string,probability:map<string,float>,reason:string,detail:string>"
    )
    by_name = {row["name"]: row for row in answer.collect()}
    expected = served.expected(pixels(*range(6)))
    for name, of_row in zip(contents, expected):
        row = by_name[name]
        assert row["probability"]["upright"] == pytest.approx(of_row[1], abs=1e-6)
        assert row["label"] == served.LABELS[int(of_row[1] >= 0.5)]
        assert (row["reason"], row["detail"]) == (None, None)
    rejects = {name: by_name[name] for name in (*BROKEN, "none.jpg")}
    assert {name: row["reason"] for name, row in rejects.items()} == {
        "empty.jpg": "empty",
        "half.jpg": "truncated",
        "text.jpg": "not_an_image",
        "none.jpg": "unreadable",
    }
    assert all(row["label"] is None and row["probability"] == {} for row in rejects.values())
    # The other columns: contents, such as those of binaryFile, and pixels.
    table = spark.createDataFrame(
        [(bytearray(served.jpeg(1)), None), (None, pixels(2)[0].tolist())],
        "image binary, pixels array<array<array<int>>>",
    ).coalesce(1)
    labels = table.select(predict(F.struct("image", "pixels"))["label"]).collect()
    assert [label for (label,) in labels] == [by_name[n]["label"] for n in ("1.jpg", "2.jpg")]


@pytest.mark.slow
def test_server_answers_as_scoring_does(folder: Path, spark: SparkSession, tmp_path: Path) -> None:
    root = tmp_path / "images" / "a"
    root.mkdir(parents=True)
    contents = {f"{number:03d}.jpg": served.jpeg(number) for number in range(200)}
    contents.update(BROKEN)
    for name, content in contents.items():
        (root / name).write_bytes(content)
    scores = score_images.score_images(
        small_config(), str(root.parent), str(folder), str(tmp_path / "scores"), lambda: spark
    ).to_json()
    expected = rows_of(tmp_path / "scores", scores["predictions"], "key")
    rejects = rows_of(tmp_path / "scores", scores["rejects_files"], "path")
    assert (len(expected), sorted(rejects)) == (200, sorted(BROKEN))

    with served.model_server(folder) as client:
        records = [{"image": served.encode(content)} for content in contents.values()]
        status, answer = client.invoke({"dataframe_records": records})
        assert (status, len(answer["predictions"])) == (200, len(contents))
        for name, row in zip(contents, answer["predictions"]):
            if name in BROKEN:
                assert row == {
                    "label": None,
                    "probability": {},
                    "reason": rejects[name]["reason"],
                    "detail": rejects[name]["detail"],
                }
            else:
                scored = expected[name]
                assert row["label"] == scored["prediction"]
                assert list(row["probability"]) == served.LABELS
                probability = list(row["probability"].values())
                assert probability == pytest.approx(scored["probability"], abs=1e-6)
                assert (row["reason"], row["detail"]) == (None, None)

        split = {"columns": ["url"], "data": [[str(root / "001.jpg")]]}
        status, answer = client.invoke(
            {"dataframe_split": split, "params": {"threshold": 0.999999}}
        )
        assert (status, answer["predictions"][0]["label"]) == (200, "lying")
        status, answer = client.invoke({"inputs": {"pixels": [pixels(1)[0].tolist()]}})
        assert status == 200, answer
        for request, why in (
            ({"dataframe_records": [{"url": None}]}, "row 0 gives no image; give exactly one of"),
            ({"dataframe_records": [{"pixels": [[1]]}]}, "row 0: pixels has the shape (1, 1); "),
            ({"dataframe_records": records[:1], "params": {"threshold": 2.0}}, "threshold is 2.0"),
            ({"rows": []}, "The input must be a JSON dictionary with exactly one of the input"),
        ):
            status, answer = client.invoke(request)
            assert status == 400
            assert why in answer["message"]


def rows_of(scores: Path, paths: list[str], key: str) -> dict[str, dict[str, Any]]:
    """Return the rows of files by the name of their image."""
    rows = [row for path in paths for row in pq.read_table(scores / path).to_pylist()]
    return {os.path.basename(row[key]): row for row in rows}


@pytest.mark.slow
def test_clean_environment_of_the_models_own_requirements(
    folder: Path, model: mlflow.pyfunc.PyFuncModel, tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = str(environment / "bin" / "python")
    # Python compiles what is imported, which is a part of all this. All that is required is listed,
    # or the check fails.
    install = ["install", "--quiet", "--no-input", "--no-compile", "--no-deps", "--requirement"]
    for arguments in ([*install, str(folder / "requirements.txt")], ["check"]):
        subprocess.run([python, "-m", "pip", *arguments], check=True)
    urls = []
    for name, content in {"0.jpg": served.jpeg(0), "1.jpg": served.jpeg(1), **BROKEN}.items():
        (tmp_path / name).write_bytes(content)
        urls.append(str(tmp_path / name))
    output = run_python(python, CLEAN_SCRIPT, folder, *urls)
    origin, rows = json.loads(output.splitlines()[-1])
    assert origin == f"{folder}/code/halftone/__init__.py"
    here = model.predict(pd.DataFrame({"url": urls}), params={"threshold": 0.9})
    assert [row["label"] for row in rows] == list(here["label"]) == ["lying"] * 2 + [None] * 3
    assert [row["reason"] for row in rows] == [None, None, "empty", "truncated", "not_an_image"]
    clean = [row["probability"]["upright"] for row in rows[:2]]
    assert clean == pytest.approx(second_class(here[:2]), abs=1e-6)
    assert clean == pytest.approx([0.7600911, 0.8126266], abs=1e-6)
    missing = "import importlib.util; print(importlib.util.find_spec('pyspark'))"
    assert run_python(python, missing).strip() == "None"
    shutil.rmtree(environment)  # 2 GB


def run_python(python: str, script: str, *arguments: object) -> str:
    """Run a script with no path to this checkout but that of the environment itself."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    completed = subprocess.run(
        [python, "-c", script, *map(str, arguments)],
        cwd=os.path.dirname(str(arguments[0])) if arguments else None,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout
