"""The dataset of a training as inputs of its MLflow run, one for each split that it uses.

They are as MLflow's own classes of datasets write them, so that its pages show them:
`mlflow.data.dataset_source_registry` has the types of sources, `mlflow.types.schema` the schema.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from halftone.dataset import schema
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import TRAIN, VALIDATION

_CONTEXTS = {TRAIN: "training", VALIDATION: "validation"}
_MAX_DIGEST_CHARS = 36  # of MLflow
_MAX_PROFILE_CHARS = 1_000_000  # of our requests; MLflow stores 16 million
_MLFLOW_TYPES = {
    pa.string(): "string",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float64(): "double",
    pa.binary(): "binary",
}


def describe_inputs(name: str, manifest: Manifest, dataset: str) -> list[dict[str, str]]:
    """Return the fields of `mlflow.entities.Dataset`, and the context, of each split with rows.

    The name has the split: of inputs with the same name and digest, MLflow keeps one.

    Args:
        name: of the config.
        manifest: of the dataset.
        dataset: URL of the dataset, without a password.
    """
    scheme, separator, _ = dataset.partition("://")
    return [
        {
            "name": f"{name}-{split}",
            "digest": manifest.fingerprint[:_MAX_DIGEST_CHARS],
            "source_type": scheme if separator else "local",
            "source": json.dumps({"uri": dataset}),
            "schema": json.dumps({"mlflow_colspec": _describe_columns(schema.ROWS)}),
            "profile": _describe_split(manifest, split),
            "context": context,
        }
        for split, context in _CONTEXTS.items()
        if sum(manifest.counts.get(split, {}).values())
    ]


def _describe_columns(columns: Sequence[pa.Field]) -> list[dict[str, Any]]:
    return [
        {"type": _MLFLOW_TYPES[column.type], "name": column.name, "required": not column.nullable}
        for column in columns
    ]


def _describe_split(manifest: Manifest, split: str) -> str:
    """Return the counts of a split; without those by class, if there are too many classes."""
    totals = manifest.totals(split)
    height_px, width_px, channels = manifest.shape()
    profile: dict[str, Any] = {
        "num_rows": totals.rows,
        "num_shards": totals.shards,
        "size_bytes": totals.size_bytes,
        "image_shape": [height_px, width_px, channels],
        "dataset_version": manifest.version,
        "rows_by_class": manifest.counts[split],
    }
    text = json.dumps(profile)
    if len(text) > _MAX_PROFILE_CHARS:
        del profile["rows_by_class"]
        text = json.dumps(profile)
    return text
