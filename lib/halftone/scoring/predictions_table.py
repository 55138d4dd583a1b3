"""The predictions of a scores directory as a Delta table.

The folder `predictions` is the table, without the rejects that raw images have there too. Version 1
has the first scores, and each scores with other files are the next version. The files of older
versions are removed. `metrics.json` is published first, and decides.
"""

from __future__ import annotations

from datetime import datetime
from typing import Union

from halftone import storage
from halftone.dataset import schema
from halftone.delta_log import TableContent, TableFile, publish_next_version
from halftone.metrics.model import ImageScores, SplitScores


def publish_predictions_table(folder: str, scores: Union[SplitScores, ImageScores]) -> None:
    """Make the predictions of published scores the newest version of the table.

    Args:
        folder: of the predictions.
    """
    paths = [path.partition("/")[2] for path in scores.predictions]
    found = {file.path: file for file in storage.list_files(folder)} if paths else {}
    files = [
        TableFile(path, found[path].size_bytes, round(found[path].modified * 1000))
        for path in paths
    ]
    is_images = isinstance(scores, ImageScores)
    publish_next_version(
        TableContent(
            folder,
            schema.IMAGE_PREDICTIONS if is_images else schema.PREDICTIONS,
            files,
            int(datetime.fromisoformat(scores.scored_at).timestamp()) * 1000,
            {"run": scores.run, "modelVersion": scores.model_version},
        )
    )
