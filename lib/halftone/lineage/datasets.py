"""What lineage events say of a dataset, a model or scores: its name, version and size."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, Optional

import pyarrow as pa

from halftone import model_directory, storage
from halftone.dataset import schema
from halftone.dataset.manifest import read_manifest

# What the jobs read and write.
IMAGES, DATASET, MODEL, SCORES, EXPORT, FOLDER = (
    "images", "dataset", "model", "scores", "export", "folder",
)  # fmt: skip
_MLFLOW_URI = re.compile(r"^(models|runs):/")


class DatasetFacts(NamedTuple):
    """A version of a dataset in the sense of OpenLineage, which may be a model or scores."""

    version: Optional[str] = None
    columns: Optional[pa.Schema] = None
    num_rows: Optional[int] = None
    size_bytes: Optional[int] = None
    num_files: Optional[int] = None


def name_dataset(url: str) -> tuple[str, str]:
    """Return namespace and name, by OpenLineage's convention: file and path, or store and key.

    A model of MLflow, such as models:/faces/3, is in the namespace mlflow.
    """
    if _MLFLOW_URI.match(url):
        return "mlflow", url
    url = storage.normalise_url(url)
    if storage.is_local(url):
        return "file", url
    scheme, _, rest = url.partition("://")
    store, _, path = rest.partition("/")
    # Objects have keys without a slash at their beginning, files of HDFS a path with one.
    return f"{scheme}://{store}", f"/{path}" if scheme == "hdfs" else path or "/"


def read_facts(kind: str, url: str) -> DatasetFacts:
    """Return what is known of the current version at `url`; nothing if it cannot be read."""
    describe = _DESCRIBERS.get(kind)
    if describe is None or _MLFLOW_URI.match(url):
        return DatasetFacts()
    try:
        return describe(storage.normalise_url(url))
    except Exception:  # the job reports what is wrong, and an event must not fail it
        return DatasetFacts()


def _describe_dataset(url: str) -> DatasetFacts:
    manifest = read_manifest(url)
    return DatasetFacts(
        manifest.fingerprint,
        schema.ROWS,
        manifest.rows,
        manifest.size_bytes(),
        manifest.num_shards(),
    )


def _describe_model(url: str) -> DatasetFacts:
    info = model_directory.read_model_json(url)
    return DatasetFacts(info.version, size_bytes=info.network_bytes, num_files=1)


def _describe_scores(url: str) -> DatasetFacts:
    scores = storage.read_json(storage.join(url, "metrics.json"))
    columns = schema.IMAGE_PREDICTIONS if "images" in scores else schema.PREDICTIONS
    return DatasetFacts(
        scores["run"], columns, scores["rows"], num_files=len(scores["predictions"])
    )


def _describe_export(url: str) -> DatasetFacts:
    export = storage.read_json(storage.join(url, "export.json"))
    return DatasetFacts(
        export["fingerprint"], num_rows=export["rows"], num_files=len(export["shards"])
    )


_DESCRIBERS: Mapping[str, Callable[[str], DatasetFacts]] = {
    DATASET: _describe_dataset,
    MODEL: _describe_model,
    SCORES: _describe_scores,
    EXPORT: _describe_export,
}


def column_types(columns: pa.Schema) -> list[dict[str, Any]]:
    """Return name and type of each column."""
    return [{"name": column.name, "type": str(column.type)} for column in columns]
