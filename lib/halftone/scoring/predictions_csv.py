"""Write predictions.csv: a row for each scored raw image, for people and their spreadsheets.

The Parquet files have all probabilities; this file has that of the prediction. It is left out where
there are more images than `score.max_csv_rows`, so that one Spark task writes it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.metrics.model import ImageScores
from halftone.scoring import predictions
from halftone.scoring.scores_directory import CSV
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, create_frame, map_tables

HEADER = ("path", "prediction", "probability", "label", "rejected")
_FILES = pa.schema([pa.field("url", pa.string()), pa.field("is_rejects", pa.bool_())])
_WRITTEN = pa.schema([pa.field("rows", pa.int64())])


def is_standing(output: str, scores: ImageScores, max_rows: int) -> bool:
    """Return whether there is a file at `output`, or none if there are too many images."""
    return (CSV in storage.list_names(output)) == (scores.inputs <= max_rows)


def write_csv(spark: SparkSession, output: str, scores: ImageScores, max_rows: int) -> None:
    """Write the file to `output`, or remove it if there are too many images.

    Args:
        output: URL of the scores directory.
        scores: of all images; their files are below `output`.
        max_rows: setting `score.max_csv_rows`.
    """
    url = storage.join(output, CSV)
    if scores.inputs > max_rows:
        storage.remove(url)
        return
    files = [(storage.join(output, name), False) for name in scores.predictions]
    files += [(storage.join(output, name), True) for name in scores.rejects_files]
    frame = create_frame(spark, build_table(files, _FILES), 1)
    write = partial(_write_files, url, list(scores.predicted))
    progress = ActionProgress("score", "write the table of predictions")
    collect_rows(map_tables(frame, write, _WRITTEN), progress)


def _write_files(url: str, labels: Sequence[str], tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Write the rows of all files, sorted by path; yield _WRITTEN."""
    rows: list[tuple[object, ...]] = []
    for table in tables:
        for file, is_rejects in arrow.iter_rows(table, *_FILES.names):
            rows += _reject_rows(file) if is_rejects else _prediction_rows(file, labels)
    rows.sort(key=lambda row: str(row[0]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows)
    storage.write_bytes(url, text.getvalue().encode())
    yield build_table([(len(rows),)], _WRITTEN)


def _prediction_rows(file: str, labels: Sequence[str]) -> Iterator[tuple[object, ...]]:
    columns = [schema.KEY, schema.PREDICTION, schema.PROBABILITY, schema.LABEL]
    table = storage.read_table(file, columns)
    probabilities = predictions.read_probabilities(table[schema.PROBABILITY], len(labels))
    numbers = {label: number for number, label in enumerate(labels)}
    names = (schema.KEY, schema.PREDICTION, schema.LABEL)
    for row, (key, prediction, label) in enumerate(arrow.iter_rows(table, *names)):
        probability = float(probabilities[row, numbers[prediction]])
        yield key, prediction, f"{probability:.6f}", label or "", ""


def _reject_rows(file: str) -> Iterator[tuple[object, ...]]:
    names = (schema.PATH, schema.REASON, schema.DETAIL)
    for path, reason, detail in arrow.iter_rows(storage.read_table(file, [*names]), *names):
        yield path, "", "", "", f"{reason}: {detail}"
