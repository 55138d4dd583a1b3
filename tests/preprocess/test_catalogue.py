from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

from halftone.config import Config
from halftone.dataset.splits import SPLITS, capture_from_path
from halftone.errors import InputError
from listed_images import ListedImages, list_images

MakeConfig = Callable[..., Config]
CONF = Path(__file__).parents[2] / "conf"


def touch(root: Path, *paths: str) -> str:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"12345")
    return str(root)


def splits_by_path(images: ListedImages) -> dict[str, str]:
    rows = images.entries
    return {row["path"]: SPLITS[row["split"]] for row in rows}


def reject_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["path"], row["reason"], row["detail"], row["size_bytes"]


def test_the_label_is_the_name_of_the_folder(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, "x/cat/1.jpg", "dog/2.PNG", "dog/deep/3.jpeg")
    images = list_images(root, config())
    labels = {row["path"]: row["label"] for row in images.entries}
    assert labels == {"x/cat/1.jpg": "cat", "dog/2.PNG": "dog", "dog/deep/3.jpeg": "deep"}
    assert {row["size_bytes"] for row in images.entries} == {5}
    assert images.catalogue.inputs == 3


def test_label_from_finds_the_label_in_the_path(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, "cat_1.jpg", "dog_2.jpg", "3.jpg")
    images = list_images(root, config(preprocess={"label_from": r"([a-z]+)_\d+\.jpg$"}))
    assert sorted([row["label"] for row in images.entries]) == ["cat", "dog"]
    assert [reject_of(row) for row in images.rejects] == [
        (
            "3.jpg",
            "unlabelled",
            r"preprocess.label_from '([a-z]+)_\\d+\\.jpg$' finds no label in the path",
            5,
        )
    ]
    assert images.catalogue.inputs == 3


def test_other_files_are_counted_by_ending(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(
        tmp_path, "a/1.jpg", "b/2.jpg", "README.md", "a/notes.txt", "b/more.txt", "b/LICENSE"
    )
    assert list_images(root, config()).catalogue.ignored == {
        ".md": 1,
        ".txt": 2,
        "no ending": 1,
    }


def test_files_without_an_ending_are_images_if_suffixes_has_the_empty_string(
    tmp_path: Path, config: MakeConfig
) -> None:
    root = touch(tmp_path, "a/1", "b/2")
    assert list_images(root, config(preprocess={"suffixes": [""]})).catalogue.inputs == 2


def test_a_file_name_that_is_not_utf8_is_a_reject(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, "a/1.jpg", "b/2.jpg")
    with open(os.fsencode(root) + b"/a/\xff.jpg", "wb") as file:
        file.write(b"123")
    images = list_images(root, config())
    assert [reject_of(row) for row in images.rejects] == [
        ("a/\\udcff.jpg", "unreadable", "its name is not UTF-8 text; rename it", 3)
    ]
    assert images.catalogue.inputs == 3


def test_the_order_is_by_split_and_hash_and_does_not_depend_on_other_images(
    tmp_path: Path, config: MakeConfig
) -> None:
    names = [f"{label}/{n:03d}.jpg" for label in ("a", "b") for n in range(100)]
    root = touch(tmp_path, *names)
    splits_ = {"validation_fraction": 0.2, "test_fraction": 0.2}
    before = list_images(root, config(splits=splits_))
    split = [row["split"] for row in before.entries]
    assert split == sorted(split)
    train = [path for path, name in splits_by_path(before).items() if name == "train"]
    assert train != sorted(train)
    touch(tmp_path, *(f"c/{n}.jpg" for n in range(50)))
    after = list_images(root, config(splits=splits_))
    old_paths = [path for path in [row["path"] for row in after.entries] if path[:2] != "c/"]
    assert old_paths == [row["path"] for row in before.entries]
    assert {path: splits_by_path(after)[path] for path in names} == splits_by_path(before)


def test_a_group_stays_in_one_split(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(
        tmp_path, *(f"{kind}/{n:03d}.jpg" for kind in ("face", "comic") for n in range(60))
    )
    split_of = splits_by_path(
        list_images(
            root,
            config(
                splits={
                    "group_by": r"(\d+)\.jpg$",
                    "validation_fraction": 0.3,
                    "test_fraction": 0.3,
                }
            ),
        )
    )
    assert {split_of[f"face/{n:03d}.jpg"] == split_of[f"comic/{n:03d}.jpg"] for n in range(60)} == {
        True
    }
    assert set(split_of.values()) == {"train", "validation", "test"}


def test_a_path_without_a_group_is_an_error_unless_it_is_allowed(
    tmp_path: Path, config: MakeConfig
) -> None:
    names = [
        f"{kind}/{n:02d}.{end}" for kind, end in (("a", "JPG"), ("b", "jpg")) for n in range(20)
    ]
    root = touch(tmp_path, *names)
    pattern = r"(\d+)\.jpg$"
    with pytest.raises(InputError) as caught:
        list_images(root, config(splits={"group_by": pattern}))
    assert str(caught.value) == (
        f"{root}: splits.group_by '(\\\\d+)\\\\.jpg$' finds no group in 20 of 40 paths, such as "
        "a/00.JPG; images of one group could get into two splits. Correct the pattern (case "
        "matters, unless it begins with (?i)), or set splits.allow_ungrouped to true if these "
        "images belong to no group"
    )
    allowed = config(splits={"group_by": pattern, "allow_ungrouped": True})
    assert list_images(root, allowed).catalogue.num_ungrouped == 20
    split_of = splits_by_path(
        images := list_images(root, config(splits={"group_by": f"(?i){pattern}"}))
    )
    assert images.catalogue.num_ungrouped == 0
    assert all(split_of[f"a/{n:02d}.JPG"] == split_of[f"b/{n:02d}.jpg"] for n in range(20))


def test_predefined_splits_need_no_group(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "test/a/x.jpg")
    settings = config(splits={"from_path": "^([a-z]+)/", "group_by": r"(\d+)\.jpg$"})
    assert list_images(root, settings).catalogue.num_ungrouped == 0


def test_the_groups_of_a_table_need_not_be_complete(tmp_path: Path, config: MakeConfig) -> None:
    (tmp_path / "list.csv").write_text("path,label,group\n1,a,x\n2,b,x \n3,a,\n4,b,\n")
    settings = config(preprocess={"catalogue": str(tmp_path / "list.csv")})
    images = list_images("/images", settings)
    assert images.catalogue.num_ungrouped == 2
    assert splits_by_path(images)["1"] == splits_by_path(images)["2"]
    assert images.catalogue.used_columns == ("label", "group")


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: path.stem)
def test_the_groups_of_our_configs_do_not_depend_on_the_suffix(path: Path) -> None:
    text = yaml.safe_load(path.read_text())
    for splits in (text.get("splits"), text.get("base", {}).get("splits")):
        if splits and "group_by" in splits:
            for name in ("0017.jpg", "0017.JPG", "0017.jpeg", "0017.Png"):
                assert capture_from_path(re.compile(splits["group_by"]), f"a/{name}") == "0017"


def test_labels_that_look_alike_are_told(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, "cat/1.jpg", "Cat/2.jpg", "dog/3.jpg")
    assert list_images(root, config()).catalogue.notes == (
        "the labels 'Cat', 'cat' differ only by case, spaces or Unicode form; they are different "
        "classes",
    )


def test_a_label_of_spaces_is_no_label(tmp_path: Path, config: MakeConfig) -> None:
    (tmp_path / "list.csv").write_text("path,label\n1,a\n2,b\n3,  \n4,\n")
    settings = config(preprocess={"catalogue": str(tmp_path / "list.csv")})
    unusable = list_images("/images", settings).rejects
    assert [(row["path"], row["reason"]) for row in unusable] == [
        ("3", "unlabelled"),
        ("4", "unlabelled"),
    ]


def test_predefined_train_and_test_splits_are_kept(tmp_path: Path, config: MakeConfig) -> None:
    names = [f"{s}/{label}/{n}.jpg" for s in ("train", "test") for label in "ab" for n in range(50)]
    root = touch(tmp_path, *names)
    settings = {"from_path": "^([a-z]+)/", "validation_fraction": 0.3}
    split_of = splits_by_path(list_images(root, config(splits=settings)))
    assert {split_of[name] for name in names if name.startswith("test")} == {"test"}
    assert {split_of[name] for name in names if name.startswith("train")} == {"train", "validation"}


def test_a_predefined_validation_split_is_kept(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, "train/a/1.jpg", "valid/b/2.jpg", "test/a/3.jpg")
    split_of = splits_by_path(list_images(root, config(splits={"from_path": "^([a-z]+)/"})))
    assert split_of == {
        "train/a/1.jpg": "train",
        "valid/b/2.jpg": "validation",
        "test/a/3.jpg": "test",
    }


def test_a_path_with_an_unknown_split_is_an_error(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, "train/a/1.jpg", "extra/b/2.jpg")
    with pytest.raises(InputError) as caught:
        list_images(root, config(splits={"from_path": "^([a-z]+)/"}))
    assert str(caught.value) == (
        "extra/b/2.jpg: the split that splits.from_path '^([a-z]+)/' finds is 'extra'; it must be "
        "train, validation or test (or val, valid, dev, training, testing)"
    )


def test_a_missing_folder_is_an_error(tmp_path: Path, config: MakeConfig) -> None:
    with pytest.raises(InputError) as caught:
        list_images(f"{tmp_path}/nowhere", config())
    assert str(caught.value) == (
        f"{tmp_path}/nowhere: no such folder; check paths.images or --input"
    )


def test_a_file_instead_of_a_folder_is_an_error(tmp_path: Path, config: MakeConfig) -> None:
    touch(tmp_path, "1.jpg")
    with pytest.raises(InputError) as caught:
        list_images(f"{tmp_path}/1.jpg", config())
    assert str(caught.value) == (
        f"{tmp_path}/1.jpg: is a file, not a folder of images; check paths.images or --input"
    )


def test_a_folder_without_images_is_an_error(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, "a/notes.txt", "b/data.csv")
    with pytest.raises(InputError) as caught:
        list_images(root, config(preprocess={"suffixes": ["jpg", ".PNG"]}))
    assert str(caught.value) == (
        f"{root}: no images among 2 files; searched at any depth for names that end in jpg, png "
        "(preprocess.suffixes)"
    )


def test_a_single_class_is_an_error(tmp_path: Path, config: MakeConfig) -> None:
    root = touch(tmp_path, "cat/1.jpg", "cat/2.jpg")
    with pytest.raises(InputError) as caught:
        list_images(root, config())
    assert str(caught.value) == (
        f"{root}: 2 images, all have the label 'cat'; a classifier needs 2 classes or more. Put "
        "each class into its own folder, or set preprocess.label_from to find the label in the "
        "path"
    )


def test_each_fold_is_validation_once_and_test_stays(tmp_path: Path, config: MakeConfig) -> None:
    names = [f"{label}/{n:03d}.jpg" for label in "ab" for n in range(60)]
    root = touch(tmp_path, *names)
    split_of_folds = [
        splits_by_path(
            list_images(root, config(splits={"folds": 3, "fold": fold, "test_fraction": 0.2}))
        )
        for fold in range(3)
    ]
    test = {name for name in names if split_of_folds[0][name] == "test"}
    assert 10 <= len(test) <= 40
    for name in names:
        names_by_fold = [split_of[name] for split_of in split_of_folds]
        expected = ["test"] * 3 if name in test else ["train", "train", "validation"]
        assert sorted(names_by_fold) == expected
