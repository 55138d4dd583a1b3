"""Export as TFRecord, read back with the code of docs/how-to/export.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from doc_blocks import find_code
from halftone.dataset import manifest
from halftone.errors import InputError
from halftone.export import tfrecord

ROOT = Path(__file__).parents[2]
# The code of the page, without the line that sets the location of the files.
READ = re.sub(
    "^root = .*$",
    "",
    find_code("docs/how-to/export.md", "import json\nimport tensorflow as tf\n"),
    flags=re.MULTILINE,
)


def no_session() -> SparkSession:
    raise AssertionError("no session is needed")


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.tfrecord*")}


def read_back(root: Path) -> list[tuple[Any, int]]:
    names: dict[str, Any] = {"root": str(root)}
    exec(READ, names)
    return [(image.tobytes(), int(label)) for image, label in names["rows"].as_numpy_iterator()]


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_exported_rows_equal_those_of_the_dataset(
    spark: SparkSession, tmp_path: Path, dataset: Path, compression: str
) -> None:
    import tensorflow as tf

    out = tmp_path / "out"
    data = manifest.read_manifest(str(dataset))
    export_info = tfrecord.export_dataset(str(dataset), str(out), compression, lambda: spark)
    expected = [
        {**row, "split": shard.split}
        for shard in data.files
        for row in pq.read_table(dataset / shard.path).to_pylist()
    ]
    train = [(row["image"], row["label_id"]) for row in expected if row["split"] == "train"]
    assert len(train) > 60
    assert read_back(out) == train

    exported = []
    for shard in export_info["shards"]:
        path = str(out / shard["path"])
        records = list(tf.data.TFRecordDataset(path, compression_type=compression))
        assert len(records) == shard["rows"]
        for record in records:
            features = tf.train.Example.FromString(record.numpy()).features.feature
            assert set(features) == set(export_info["features"])
            exported.append(
                {
                    "split": shard["split"],
                    **{n: features[n].bytes_list.value[0] for n in ("image", "label", "key")},
                    **{
                        n: features[n].int64_list.value[0]
                        for n in ("height", "width", "channels", "label_id")
                    },
                }
            )
    assert exported == [
        {
            "split": row["split"],
            "image": row["image"],
            "label": row["label"].encode(),
            "key": row["key"].encode(),
            "height": 16,
            "width": 16,
            "channels": 1,
            "label_id": row["label_id"],
        }
        for row in expected
    ]


@pytest.mark.slow
def test_second_call_keeps_files_and_writes_missing_ones(
    spark: SparkSession, tmp_path: Path, dataset: Path
) -> None:
    out = tmp_path / "out"
    export_info = tfrecord.export_dataset(str(dataset), str(out), "", lambda: spark)
    before = files(out)
    data = manifest.read_manifest(str(dataset))
    assert json.loads((out / "export.json").read_text()) == export_info
    assert export_info["shape"] == [16, 16, 1]
    assert export_info["fingerprint"] == data.fingerprint
    assert export_info["counts"] == data.counts
    assert sum(shard["rows"] for shard in export_info["shards"]) == export_info["rows"] == 120
    num_train = data.totals("train").shards
    assert [shard["path"].rpartition("/")[2] for shard in export_info["shards"]][:2] == [
        f"train-00000-of-{num_train:05d}.tfrecord",
        f"train-00001-of-{num_train:05d}.tfrecord",
    ]

    assert tfrecord.export_dataset(str(dataset), str(out), "", no_session) == export_info

    # State after a killed call, with files of a killed call for another dataset.
    stale = out / "records" / "0123456789abcdef" / "train-00000-of-00001.tfrecord"
    stale.parent.mkdir()
    stale.touch()
    (out / "export.json").unlink()
    (out / export_info["shards"][1]["path"]).unlink()
    kept = out / export_info["shards"][0]["path"]
    modified = kept.stat().st_mtime_ns
    tfrecord.export_dataset(str(dataset), str(out), "", lambda: spark)
    assert files(out) == before
    assert kept.stat().st_mtime_ns == modified


def test_another_export_is_not_overwritten(tmp_path: Path, dataset: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    other_info = {"schema": 1, "fingerprint": "d47f2ba86d75", "compression": ""}
    (out / "export.json").write_text(json.dumps(other_info))
    fingerprint = manifest.read_manifest(str(dataset)).fingerprint
    with pytest.raises(InputError) as caught:
        tfrecord.export_dataset(str(dataset), str(out), "GZIP", no_session)
    assert str(caught.value) == (
        f"{out}: contains another export, which is not overwritten: compression '' there, 'GZIP' "
        f"now; fingerprint 'd47f2ba86d75' there, '{fingerprint}' now. Give another --output, or "
        "remove it"
    )
    assert json.loads((out / "export.json").read_text()) == other_info


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON"])
def test_invalid_export_json_is_refused(tmp_path: Path, dataset: Path, content: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "export.json").write_text(content)
    with pytest.raises(InputError) as caught:
        tfrecord.export_dataset(str(dataset), str(tmp_path / "out"), "", no_session)
    assert str(caught.value) == (
        f"{tmp_path}/out/export.json: not the export.json of an export; give another --output"
    )


def test_folder_with_other_files_is_refused(tmp_path: Path, dataset: Path) -> None:
    with pytest.raises(InputError) as caught:
        tfrecord.export_dataset(str(dataset), str(dataset), "", no_session)
    assert str(caught.value) == (
        f"{dataset}: exists and is not an export (it contains _delta_log, _versions, "
        "contact_sheets, ...); give another --output"
    )


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "jobs" / "export.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd="/")


@pytest.mark.slow
def test_export_job(tmp_path: Path, dataset: Path) -> None:
    conf = tmp_path / "run.yaml"
    conf.write_text("name: stripes\n")
    completed = run("--config", conf, "--output", tmp_path / "out")
    assert completed.returncode == 2
    assert completed.stderr == (
        "error: paths.dataset is not set; give it in the config file or as --dataset URL\n"
    )
    completed = run("--config", conf, "--dataset", tmp_path / "none", "--output", tmp_path / "out")
    assert completed.returncode == 2
    assert completed.stderr == (
        f"error: {tmp_path}/none: no dataset here (no manifest.json); run jobs/preprocess.py, or "
        "check paths.dataset or --dataset\n"
    )
    arguments = ("--config", conf, "--output", tmp_path / "out", "--gzip")
    completed = run(*arguments, "--set", f"paths.dataset={dataset}")
    assert completed.returncode == 0, completed.stderr
    num_files = len(manifest.read_manifest(str(dataset)).files)
    lines = completed.stdout.splitlines()
    assert lines[-3] == f"120 rows in {num_files} TFRecord files, GZIP"
    assert lines[-1] == f"export: {tmp_path}/out"
    assert re.search(r"export: 120 of 120 images, \d+/s, \d:\d\d\n$", completed.stderr)
    assert len(read_back(tmp_path / "out")) > 60
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".tmp")]
