"""Settings of a training or of scoring that do not fit the data, the machine or each other."""

from __future__ import annotations

from mistakes.mistake import Mistake

NEW = ("--output", "{site}/new")

MISTAKES = (
    Mistake(
        "more ranks than rows",
        ("train", *NEW, "--set", "train.ranks=100", "--set", "train.batch_size=100"),
        "error: train.ranks is 100, but the train split of {site}/dataset has 2 rows; use "
        "train.ranks=2",
        "Each rank needs a row of its own in each epoch.",
        "Use fewer ranks. More ranks than cores are slower, too; that is a warning.",
    ),
    Mistake(
        "more ranks than slots of the hosts",
        ("train", *NEW, "--set", "train.ranks=2", "--set", "train.hosts=node1:1"),
        "error: train.ranks is 2, but train.hosts (node1:1) has 1 slot; use train.ranks=1, or name "
        "more hosts or slots",
        "train.hosts says how many ranks each machine takes; together they take fewer than "
        "train.ranks.",
        "Lower train.ranks, or name more slots.",
    ),
    Mistake(
        "hosts for a launcher that ignores them",
        ("train", *NEW, "--set", "train.launcher=spark", "--set", "train.hosts=node1:1"),
        "error: train.hosts is node1:1, which train.launcher spark does not use; use launcher "
        "horovodrun, or remove hosts",
        "Spark chooses the machines of its executors.",
        "Remove train.hosts, or use the launcher horovodrun.",
    ),
    Mistake(
        "a larger input than the images",
        ("train", *NEW, "--set", "train.input_px=64"),
        "error: train.input_px is 64x64, but the images of the dataset are 8x4 px; use at most "
        "their size, or preprocess to a larger one",
        "The network resizes the images of the dataset to a smaller size, never to a larger one.",
        "Preprocess with larger pixels.height_px and pixels.width_px.",
    ),
    Mistake(
        "the best epoch by a split that is empty",
        ("train", *NEW, "--set", "train.best_by=val_auc"),
        "error: train.best_by val_auc needs validation rows of at least 2 classes; {site}/dataset "
        "has those of 0. Preprocess with a larger splits.validation_fraction, or use best_by "
        "val_loss",
        "The metric is computed on the validation split, which has too few rows.",
        "Preprocess with a larger splits.validation_fraction.",
    ),
    Mistake(
        "a function of one's own that cannot be imported",
        ("train", *NEW, "--set", "train.model={name: custom, build: 'networks:build'}"),
        "error: train.model.build: there is no module networks here; install it on all nodes, send "
        "it with --py-files, or add its folder to PYTHONPATH",
        "The function that builds the network is in a module that Python does not find.",
        "Add the folder of the module to PYTHONPATH, or send it with --py-files.",
    ),
    Mistake(
        "a split without rows",
        ("score", "--set", "score.split=validation"),
        "error: {site}/dataset: the validation split is empty; choose another score.split, or "
        "preprocess with a larger splits.validation_fraction",
        "The dataset was made without rows in this split.",
        "Score another split, or preprocess with a larger fraction.",
    ),
    Mistake(
        "a threshold that is fitted without validation rows",
        ("score", "--set", "score.threshold=best_f1"),
        "error: score.threshold best_f1 needs a validation split, and the dataset has none; "
        "preprocess with a splits.validation_fraction",
        "A threshold that is chosen on the test rows would make the test metrics too good.",
        "Preprocess with a splits.validation_fraction, or give the threshold as a number.",
    ),
    Mistake(
        "slices of columns that no table has",
        ("score", "--set", "score.slices=[camera]"),
        "error: score.slices is camera, and no catalogue has these columns: the images of /images "
        "were listed without one. Give one as score.slice_catalogue",
        "Slices are made of the columns of a table of images.",
        "Write a CSV or Parquet file with the columns path and camera, and set "
        "score.slice_catalogue to it.",
    ),
    Mistake(
        "a Spark master that does not exist",
        ("score", "--set", "spark.master=lokal[2]"),
        "error: --set spark.master=lokal[2]: 1 mistake\n"
        '  spark.master = "lokal[2]": must be local, local[N], local[*], spark://HOST:PORT, yarn '
        "or k8s://URL",
        "Spark starts with none but these.",
        "Correct spark.master; without it, all cores of this machine are used.",
    ),
    Mistake(
        "retraining without test rows",
        ("retrain", "--set", "splits.test_fraction=0"),
        "error: splits.test_fraction is 0, which leaves no test rows to compare models on; raise "
        "it",
        "A challenger is compared with the champion on the test rows.",
        "Set splits.test_fraction to a fraction such as 0.2.",
    ),
    Mistake(
        "a folder of retraining that is not set",
        ("retrain", "--config", "{site}/run.yaml"),
        "error: retrain.folder is not set; give it in the config file or with --set",
        "Retraining keeps its journal in a folder of its own.",
        "Set retrain.folder, or use a config for retraining, such as conf/retrain.yaml.",
    ),
    Mistake(
        "a subset with less than one image of each class",
        ("experiment", "--subset", "1"),
        "error: {site}/images: --subset 1 is less than one image for each of 2 classes; use 2 or "
        "more",
        "The images of a subset are equally many of each class.",
        "Use a larger --subset.",
    ),
)
