"""Flags, files of settings, and --set."""

from __future__ import annotations

from mistakes.mistake import Mistake, write

MISTAKES = (
    Mistake(
        "a setting as a flag",
        ("train", "--epochs", "3"),
        "halftone train: error: unrecognized arguments: --epochs 3; as a setting it is --set "
        "train.epochs=3",
        "Flags are few; all settings are in the config file, and --set overrides one.",
        "Use --set as the message shows, or change the config file.",
    ),
    Mistake(
        "a typo in a flag",
        ("train", "--ouput", "{site}/new"),
        "halftone train: error: unrecognized arguments: --ouput {site}/new; did you mean --output?",
        "The command has no such flag.",
        "Correct the flag; --help lists all.",
    ),
    Mistake(
        "a command that does not exist",
        ("trian",),
        "halftone: error: argument COMMAND: invalid choice: 'trian' (choose from {commands})",
        "The word after halftone is none of its commands.",
        "Choose one of the list; halftone --help says what each does.",
    ),
    Mistake(
        "a config file that does not exist",
        ("train", "--config", "{site}/nowhere.yaml"),
        "error: {site}/nowhere.yaml: cannot read the config: No such file or directory",
        "The file is not there. Relative paths are below the working directory.",
        "Correct the path.",
    ),
    Mistake(
        "a config without paths",
        ("train",),
        "error: paths.dataset is not set; give it in the config file or as --dataset URL",
        "The job needs this path, and neither the file nor a flag gives it.",
        "Set it in the section paths, or give the flag.",
        prepare=write("run.yaml", "name: bare\n"),
    ),
    Mistake(
        "a config in place of an experiment",
        ("experiment", "--config", "{site}/run.yaml"),
        "error: {site}/run.yaml: is a config and no experiment, which has its settings below "
        "`base`; begin with one of conf/experiments",
        "An experiment lists runs, and what they have in common below base.",
        "Copy one of the files in conf/experiments, and change it.",
    ),
    Mistake(
        "--set without a value",
        ("train", "--set", "train.epochs"),
        "error: --set train.epochs: must be KEY=VALUE, such as train.epochs=3",
        "--set takes a key, an equals sign and a value, without spaces around it.",
        "Write --set KEY=VALUE.",
    ),
    Mistake(
        "a number of ranks that does not divide the batch",
        ("train", "--set", "train.ranks=3", "--set", "train.batch_size=16"),
        "error: {site}/run.yaml with --set train.ranks=3, --set train.batch_size=16: 1 mistake\n"
        "  train: batch_size 16 is not divisible by the 3 ranks; use 15 or 18",
        "A batch is divided evenly among the ranks.",
        "Use one of the batch sizes of the message, or another number of ranks.",
    ),
    Mistake(
        "a format of export that does not exist",
        ("export", "--output", "{site}/new", "--format", "keras"),
        "halftone export: error: argument --format: invalid choice: 'keras' (choose from "
        "'tfrecord', 'savedmodel', 'onnx', 'tflite')",
        "The model itself is a file of Keras already: network-VERSION.keras in its folder.",
        "Choose one of the formats, or take the file of Keras.",
    ),
    Mistake(
        "compression of a format that has none",
        ("export", "--output", "{site}/new", "--format", "onnx", "--gzip"),
        "error: --gzip is for --format tfrecord, and the format is onnx; remove it, or change the "
        "format",
        "The flag has no effect on this format.",
        "Remove the flag.",
    ),
    Mistake(
        "export without an output",
        ("export",),
        "halftone export: error: the following arguments are required: --output",
        "An export has no path in the config file.",
        "Give --output.",
    ),
    Mistake(
        "two actions of retraining at once",
        ("retrain", "--promote", "3", "--rollback"),
        "halftone retrain: error: argument --rollback: not allowed with argument --promote",
        "Each call of retrain does one thing.",
        "Give one of --dry-run, --promote, --rollback and --history.",
    ),
    Mistake(
        "one fold",
        ("label-errors", "--folds", "1"),
        "error: --folds 1: 1 mistake\n  splits.folds = 1: must be greater than or equal to 2",
        "Each image is predicted by a model that was trained on the other folds.",
        "Use 2 folds or more; 5 are usual.",
    ),
)
