"""Names of datasets by OpenLineage's convention, and what is known of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from openlineage.client.naming import dataset as naming

from example_card import card
from halftone import storage
from halftone.dataset import manifest, schema
from halftone.lineage.datasets import DatasetFacts, column_types, name_dataset, read_facts

S3 = naming.S3("bucket", "faces/images")
GCS = naming.GCS("bucket", "faces")
ABFSS = naming.ABFSS("box", "account", "faces")
HDFS = naming.HDFS("name", "8020", "/faces")
LOCAL = naming.LocalFileSystem("/data/a b")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/faces/images/", (S3.get_namespace(), S3.get_name())),
        ("s3a://bucket/faces/images", (S3.get_namespace(), S3.get_name())),
        ("gs://bucket/faces", (GCS.get_namespace(), GCS.get_name())),
        (
            "abfss://box@account.dfs.core.windows.net/faces",
            (ABFSS.get_namespace(), ABFSS.get_name()),
        ),
        ("hdfs://name:8020/faces", (HDFS.get_namespace(), HDFS.get_name())),
        ("/data/a b", (LOCAL.get_namespace(), LOCAL.get_name())),
        ("file:///data/a b", ("file", "/data/a b")),
        ("s3://bucket", ("s3://bucket", "/")),
        ("models:/faces@champion", ("mlflow", "models:/faces@champion")),
        ("runs:/abc/model", ("mlflow", "runs:/abc/model")),
    ],
)
def test_a_name_follows_the_convention(url: str, expected: tuple[str, str]) -> None:
    assert name_dataset(url) == expected


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert name_dataset("out/data") == ("file", f"{tmp_path}/out/data")


def test_facts_of_a_dataset(prepared_dataset: Path) -> None:
    data = manifest.read_manifest(str(prepared_dataset))
    assert read_facts("dataset", str(prepared_dataset)) == DatasetFacts(
        data.fingerprint, schema.ROWS, 120, data.size_bytes(), data.num_shards()
    )


def test_facts_of_a_model(tmp_path: Path) -> None:
    storage.write_bytes(
        str(tmp_path / "model.json"), card(network_bytes=7).model_dump_json().encode()
    )
    assert read_facts("model", str(tmp_path)) == DatasetFacts("v", size_bytes=7, num_files=1)


@pytest.mark.parametrize(
    ("extra", "columns"), [({}, schema.PREDICTIONS), ({"images": "/i"}, schema.IMAGE_PREDICTIONS)]
)
def test_facts_of_scores(tmp_path: Path, extra: dict[str, str], columns: pa.Schema) -> None:
    content = {"run": "r", "rows": 5, "predictions": ["a", "b"], **extra}
    storage.write_json(str(tmp_path / "metrics.json"), content)
    assert read_facts("scores", str(tmp_path)) == DatasetFacts("r", columns, 5, num_files=2)


def test_facts_of_an_export(tmp_path: Path) -> None:
    content = {"fingerprint": "f", "rows": 5, "shards": [{}, {}, {}]}
    storage.write_json(str(tmp_path / "export.json"), content)
    assert read_facts("export", str(tmp_path)) == DatasetFacts("f", num_rows=5, num_files=3)


@pytest.mark.parametrize("kind", ["dataset", "model", "scores", "export", "images", "folder"])
def test_what_cannot_be_read_has_no_facts(tmp_path: Path, kind: str) -> None:
    assert read_facts(kind, str(tmp_path / "nowhere")) == DatasetFacts()
    assert read_facts(kind, "models:/faces/1") == DatasetFacts()


def test_types_of_columns() -> None:
    assert column_types(schema.REJECTS)[-2:] == [
        {"name": "size_bytes", "type": "int64"},
        {"name": "modified", "type": "double"},
    ]
