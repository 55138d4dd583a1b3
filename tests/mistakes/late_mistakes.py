"""Mistakes that are only found when Spark or TensorFlow has started, or by a server."""

from __future__ import annotations

from mistakes.mistake import Mistake

SHARD_MEANING = (
    "The file has the size that the manifest says, and its content is not Parquet: a disk or a "
    "copy has changed it."
)
SHARD_CURE = (
    "Restore the file from a backup. Without one, preprocess the images into another folder."
)

MISTAKES = (
    Mistake(
        "a test shard that is damaged",
        ("score",),
        "error: score: {site}/dataset/test/b.parquet is damaged (Parquet magic bytes not found in "
        "footer. Either the file is corrupted or this is not a parquet file.); restore it, or run "
        "preprocess again with a new --output",
        SHARD_MEANING,
        SHARD_CURE,
        is_late=True,
    ),
    Mistake(
        "a train shard that is damaged",
        ("train", "--output", "{site}/new"),
        "error: {site}/dataset/train/a.parquet is damaged (Parquet magic bytes not found in "
        "footer. Either the file is corrupted or this is not a parquet file.); restore it, or run "
        "preprocess again with a new --output",
        SHARD_MEANING,
        SHARD_CURE,
        is_late=True,
    ),
    Mistake(
        "a model in an MLflow store that does not exist",
        (
            *("score", "--model", "models:/faces@champion"),
            *("--set", "tracking.uri=sqlite:///{site}/no.db"),
        ),
        "error: models:/faces@champion: there is no MLflow store at sqlite:///{site}/no.db; check "
        "tracking.uri or MLFLOW_TRACKING_URI",
        "models:/ and runs:/ are addresses in MLflow, and its store is not there.",
        "Set tracking.uri to the store that the training logged to.",
        is_late=True,
    ),
    Mistake(
        "a setting of Spark whose value is no number",
        ("score", "--set", "spark.conf={spark.sql.shuffle.partitions: many}"),
        "error: Spark does not start: spark.sql.shuffle.partitions should be int, but was many; "
        "correct spark.master or spark.conf",
        "Spark refuses the value.",
        "Correct the setting below spark.conf.",
        is_late=True,
    ),
    Mistake(
        "a Spark Connect server that does not run",
        ("score", "--set", "spark.remote=sc://127.0.0.1:1"),
        "error: there is no Spark Connect server at sc://127.0.0.1:1: [Errno 111] Connection "
        "refused; start it, or correct the setting spark.remote or the variable SPARK_REMOTE",
        "Nothing listens there.",
        "Start the server, or leave spark.remote out.",
        is_late=True,
    ),
)
