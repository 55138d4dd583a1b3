"""The files of a scores directory as Delta tables: the predictions, and the rejects.

Each is a folder of its own, and a table of its own. Version 1 has the first rows, and each scores
with other files are the next version. The files of older versions are removed. `metrics.json` is
published first, and decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Union

import pyarrow as pa

from halftone import storage
from halftone.dataset import schema
from halftone.delta_log import TableContent, TableFile, publish_next_version
from halftone.metrics.model import ImageScores, SplitScores

PREDICTIONS = "predictions"
REJECTS = "rejects"  # only of raw images

_Scores = Union[SplitScores, ImageScores]


def publish_tables(output: str, scores: _Scores) -> None:
    """Make the files of published scores the newest version of each table.

    Nothing is written for a table that has these files already, or that has never had one.

    Args:
        output: URL of the scores directory.
    """
    if isinstance(scores, ImageScores):
        _publish(output, PREDICTIONS, schema.IMAGE_PREDICTIONS, scores.predictions, scores)
        _publish(output, REJECTS, schema.REJECTS, scores.rejects_files, scores)
    else:
        _publish(output, PREDICTIONS, schema.PREDICTIONS, scores.predictions, scores)
        # There is one if raw images were scored to the same output before: it becomes empty.
        _publish(output, REJECTS, schema.REJECTS, [], scores)


def _publish(
    output: str, name: str, table_schema: pa.Schema, files: Sequence[str], scores: _Scores
) -> None:
    folder = storage.join(output, name)
    paths = [path.removeprefix(f"{name}/") for path in files]
    found = {file.path: file for file in storage.list_files(folder)} if paths else {}
    table_files = [
        TableFile(path, found[path].size_bytes, round(found[path].modified * 1000))
        for path in paths
    ]
    publish_next_version(
        TableContent(
            folder,
            table_schema,
            table_files,
            int(datetime.fromisoformat(scores.scored_at).timestamp()) * 1000,
            {"run": scores.run, "modelVersion": scores.model_version},
        )
    )
