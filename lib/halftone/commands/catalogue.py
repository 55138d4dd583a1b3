"""The sub-commands of `halftone`. Nothing here imports a package, so that --help is fast."""

from __future__ import annotations

import argparse

from halftone.cli.flags import JobFlags, add_config_flag, add_set_flag
from halftone.commands import flags
from halftone.commands.command import Command
from halftone.export import flags as export_flags
from halftone.retrain import interruption
from halftone.sample import flags as sample_flags

# Packages by the name that is imported, and the extra of the wheel that installs each.
_SPARK = {"pyspark": "spark"}
_SCORING = {**_SPARK, "tensorflow": "score", "scipy": "score"}
_TRAINING = {
    **dict.fromkeys(("tensorflow", "horovod", "petastorm"), "train"),
    **_SPARK,
}
_SEARCH = {**_TRAINING, "scipy": "train", "sklearn": "train"}

PREPROCESS = JobFlags(
    paths={"--input": "images", "--changes": "changes", "--output": "dataset"},
    switches={
        "--estimate": "decode a sample, print estimates for all images, and write nothing",
        "--retry-rejects": "only read the rejected images again",
        "--prune": "remove images that no longer exist from the dataset",
    },
    output_keys=["dataset"],
)
TRAIN = JobFlags(paths={"--dataset": "dataset", "--output": "model"}, output_keys=["model"])
SCORE = JobFlags(
    paths={
        "--dataset": "dataset",
        "--images": "new_images",
        "--model": "model",
        "--output": "scores",
        "--baseline": "baseline",
    },
    output_keys=["scores"],
)
LABEL_ERRORS = JobFlags(
    paths={"--images": "images", "--output": "label_errors"},
    settings={"--folds": "splits.folds"},
    output_keys=["label_errors"],
)


def _add_export_flags(parser: argparse.ArgumentParser) -> None:
    add_config_flag(parser)
    export_flags.add_flags(parser)
    add_set_flag(parser)


COMMANDS = (
    Command(
        "preprocess",
        "Convert raw images to a dataset",
        (
            "--config conf/local.yaml",
            "--config conf/faces.yaml --input s3://bucket/faces --output s3://bucket/dataset",
            "--config conf/local.yaml --estimate",
        ),
        PREPROCESS.add_to,
        needs=_SPARK,
    ),
    Command(
        "train",
        "Train a model on a dataset, with one Horovod rank or several",
        ("--config conf/local.yaml", "--config conf/local.yaml --set train.ranks=2"),
        TRAIN.add_to,
        needs=_TRAINING,
    ),
    Command(
        "score",
        "Score a dataset or raw images with a model: predictions, metrics and a report",
        (
            "--config conf/local.yaml",
            "--config conf/local.yaml --images new/ --output new-scores/",
        ),
        SCORE.add_to,
        needs=_SCORING,
    ),
    Command(
        "experiment",
        "Run the trainings of an experiment and write a table of their results beside a paper's",
        ("--config conf/experiments/regularised-convnets.yaml --input DIR",),
        flags.add_experiment_flags,
        needs={**_SEARCH, "optuna": "train"},
    ),
    Command(
        "retrain",
        "Retrain on new images, compare with the champion, promote or keep, and notify",
        (
            "--config conf/retrain.yaml",
            "--config conf/retrain.yaml --dry-run",
            "--config conf/retrain.yaml --rollback",
        ),
        flags.add_retrain_flags,
        needs={**_SEARCH, "mlflow": "mlflow"},
        notes="Exit codes: 0 success, 2 wrong config or input, 3 refused "
        "(retrain.fail_on_refusal),\n4 another call is running, 5 failed and may be tried again, "
        "130 interrupted, 143 stopped\nby SIGTERM. The last line of the output is the outcome as "
        "JSON.",
        report=interruption.print_outcome,
    ),
    Command(
        "export",
        "Export a trained model for other runtimes, or a dataset as TFRecord files for tf.data",
        (
            "--config conf/local.yaml --format savedmodel --output out/demo/savedmodel",
            "--config conf/local.yaml --output out/demo/tfrecord",
        ),
        _add_export_flags,
        needs={**_SPARK, "tensorflow": "score"},
    ),
    Command(
        "label-errors",
        "Find images whose label is probably wrong, and write a catalogue to correct them",
        ("--config conf/local.yaml --folds 5 --output out/demo/label-errors",),
        LABEL_ERRORS.add_to,
        needs={**_SEARCH, "optuna": "train"},
    ),
    Command(
        "check",
        "Print the settings of a config, and where each value comes from",
        ("--config conf/local.yaml", "--config conf/local.yaml --set train.epochs=3"),
        flags.add_config_flags,
        notes="It starts no Spark. `halftone preprocess --check` checks a cluster, and so do train "
        "and score.",
    ),
    Command(
        "sample",
        "Draw photo-like and comic-like faces, for trying the pipeline",
        ("--output out/demo/images --pairs 400 --seed 7",),
        sample_flags.add_flags,
        notes="No picture shows a real person: all are drawn by code.",
    ),
    Command(
        "schema",
        "Print the JSON Schema of a config or of an experiment, for editors",
        ("> config.json", "experiment > experiment.json"),
        flags.add_schema_kind,
    ),
    Command(
        "completion",
        "Print a script that completes sub-commands and flags in a shell",
        (
            'bash    # in ~/.bashrc:  eval "$(halftone completion bash)"',
            "zsh > ~/.zfunc/_halftone    # a folder of $fpath",
        ),
        flags.add_shell,
        needs={"shtab": ""},
    ),
)
BY_NAME = {command.name: command for command in COMMANDS}
