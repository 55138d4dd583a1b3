"""Datasets, models and images that are missing, damaged, or something else."""

from __future__ import annotations

from mistakes.mistake import Mistake, remove, write

NEW = ("--output", "{site}/new")
RESTORE_DATASET = (
    "Restore the file from a backup. Without one, remove the dataset and preprocess the images "
    "again; the same settings give the same rows."
)

MISTAKES = (
    Mistake(
        "manifest.json as the dataset",
        ("train", *NEW, "--dataset", "{site}/dataset/manifest.json"),
        "error: {site}/dataset/manifest.json: is a file of a dataset; give its folder, "
        "{site}/dataset",
        "A dataset is a folder. manifest.json is one of its files.",
        "Give the folder.",
    ),
    Mistake(
        "a shard as the dataset",
        ("score", "--dataset", "{site}/dataset/test/b.parquet"),
        "error: {site}/dataset/test/b.parquet: is a file; a dataset is the folder that "
        "jobs/preprocess.py has written",
        "A dataset is a folder with a manifest; it cannot be read shard by shard.",
        "Give the folder that has manifest.json.",
    ),
    Mistake(
        "a dataset that does not exist",
        ("train", *NEW, "--dataset", "{site}/nowhere"),
        "error: {site}/nowhere: no dataset here (no manifest.json); run jobs/preprocess.py, or "
        "check paths.dataset or --dataset",
        "There is no manifest.json, which preprocess writes last: the path is wrong, or preprocess "
        "has not ended.",
        "Correct the path, or preprocess first.",
    ),
    Mistake(
        "the folder of images as the dataset",
        ("train", *NEW, "--dataset", "{site}/images"),
        "error: {site}/images: no dataset here (no manifest.json); run jobs/preprocess.py, or "
        "check paths.dataset or --dataset",
        "Training reads a dataset, not images.",
        "Preprocess the images, and give the output of that as the dataset.",
    ),
    Mistake(
        "a manifest that was edited",
        ("train", *NEW),
        "error: {site}/dataset/manifest.json: not a manifest: Expecting value: line 1 column 1 "
        "(char 0)",
        "The file is not JSON.",
        RESTORE_DATASET,
        prepare=write("dataset/manifest.json", "images: 3\n"),
    ),
    Mistake(
        "a test shard that was deleted",
        ("score",),
        "error: {site}/dataset: test/b.parquet is missing; restore it from a backup, or remove the "
        "dataset and run jobs/preprocess.py again",
        "The manifest names a file that is gone. Nothing is scored without it, because the metrics "
        "would be those of fewer rows.",
        RESTORE_DATASET,
        prepare=remove("dataset/test/b.parquet"),
    ),
    Mistake(
        "a train shard that was copied in part",
        ("train", *NEW),
        "error: {site}/dataset: train/a.parquet has 4 bytes instead of 9; restore it from a "
        "backup, or remove the dataset and run jobs/preprocess.py again",
        "The file has another size than the manifest says.",
        RESTORE_DATASET,
        prepare=write("dataset/train/a.parquet", "xxxx"),
    ),
    Mistake(
        "a file of Keras as the model",
        ("score", "--model", "{site}/model/network-v1.keras"),
        "error: {site}/model/network-v1.keras: is a file; give the folder that jobs/train.py "
        "writes, with model.json",
        "A model is a folder: scoring needs the classes and the pixels in its model.json too.",
        "Give the folder.",
    ),
    Mistake(
        "a model that does not exist",
        ("score", "--model", "{site}/nowhere"),
        "error: {site}/nowhere: no model here (no model.json); run jobs/train.py, or check "
        "paths.model or --model",
        "There is no model.json, which training writes last: the path is wrong, or training has "
        "not ended.",
        "Correct the path, or train first.",
    ),
    Mistake(
        "a model whose network was deleted",
        ("score",),
        "error: {site}/model: network-v1.keras is missing; restore it, or run jobs/train.py again "
        "with this --output, which makes it from checkpoints/",
        "model.json names a file that is gone.",
        "The command that trained the model makes the file from its checkpoints, without training.",
        prepare=remove("model/network-v1.keras"),
    ),
    Mistake(
        "a model whose network is damaged",
        ("score",),
        "error: {site}/model/network-v1.keras is damaged (File is not a zip file); restore it, or "
        "train again",
        "The file cannot be read as a network of Keras.",
        "Restore the file, or remove it and train again.",
        prepare=write("model/network-v1.keras", "half a file"),
    ),
    Mistake(
        "images that do not exist",
        ("preprocess", *NEW, "--input", "{site}/nowhere"),
        "error: {site}/nowhere: no such folder; check paths.images or --input",
        "The folder of images is not there.",
        "Correct the path. Relative paths are below the working directory.",
    ),
    Mistake(
        "raw images to score that do not exist",
        ("score", "--images", "{site}/nowhere"),
        "error: {site}/nowhere: no such folder; check paths.new_images or --images",
        "The folder of images is not there.",
        "Correct the path. Relative paths are below the working directory.",
    ),
    Mistake(
        "one image instead of a folder",
        ("score", "--images", "{site}/images/cat/1.png"),
        "error: {site}/images/cat/1.png: is a file, not a folder of images; check paths.new_images "
        "or --images",
        "Images are given as a folder, which is read with all folders below it.",
        "Give the folder, or list single files in a table: score.catalogue.",
    ),
    Mistake(
        "a folder without images",
        ("preprocess", *NEW, "--set", "preprocess.suffixes=[jpg]"),
        "error: {site}/images: no images among 2 files; searched at any depth for names that end "
        "in jpg (preprocess.suffixes)",
        "No name of a file ends as those of images do.",
        "Correct the path or preprocess.suffixes.",
    ),
    Mistake(
        "one split in place of the dataset",
        ("train", "--dataset", "{site}/dataset/train"),
        "error: {site}/dataset/train: is the table train of a dataset; give the folder of the "
        "dataset, {site}/dataset",
        "A job needs the manifest, which lies beside the splits, and chooses the split itself.",
        "Give the folder that the message names.",
    ),
    Mistake(
        "a table as the dataset that is written",
        ("preprocess", "--output", "table:main.faces.all"),
        "error: paths.dataset is table:main.faces.all, the name of a table that exists, and "
        "preprocess and retrain write the dataset; give the URL or the path of its folder, in the "
        "config file or as --output of preprocess",
        "Only a dataset that is read can be named as a table of Spark.",
        "Give the folder, and register the table there afterwards.",
    ),
    Mistake(
        "a catalogue that does not exist",
        ("preprocess", *NEW, "--set", "preprocess.catalogue={site}/nowhere.csv"),
        "error: {site}/nowhere.csv: no such file; check preprocess.catalogue",
        "The table that lists the images is not there.",
        "Correct the path, or leave preprocess.catalogue out to read the folder.",
    ),
    Mistake(
        "a catalogue without paths",
        ("preprocess", *NEW, "--set", "preprocess.catalogue={site}/list.csv"),
        "error: {site}/list.csv: has no column path; it has 'file', 'label', and may have path, "
        "label, group, split, size_bytes, modified",
        "The first line names the columns, and `path` is not among them.",
        "Rename the column that has the paths to path.",
        prepare=write("list.csv", "file,label\ncat/1.png,cat\n"),
    ),
    Mistake(
        "a catalogue of another folder",
        ("preprocess", *NEW, "--set", "preprocess.catalogue={site}/list.csv"),
        "error: {site}/list.csv: 1 paths are not below {site}/images, such as /other/1.png; check "
        "paths.images or --input, or write paths relative to that folder",
        "Each path of a catalogue is below the folder of images.",
        "Set paths.images to the folder that has all of them, or write relative paths.",
        prepare=write("list.csv", "path,label\n/other/1.png,cat\n"),
    ),
    Mistake(
        "a baseline that holds no scores",
        ("score", "--baseline", "{site}/dataset"),
        "error: {site}/dataset: no scores of a split here; check paths.baseline or --baseline, "
        "which is the --output of an earlier run of jobs/score.py",
        "The baseline is compared with the new scores, and there is no metrics.json of a split.",
        "Give the output of an earlier score of a dataset.",
    ),
    Mistake(
        "wrong labels of images that do not exist",
        ("label-errors", "--images", "{site}/nowhere"),
        "error: {site}/nowhere: no such folder; check paths.images or --images",
        "The folder of images is not there.",
        "Correct the path. Relative paths are below the working directory.",
    ),
)
