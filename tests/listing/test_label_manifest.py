"""The lines are those of the documentation of SageMaker, Ground Truth and Rekognition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

from halftone.errors import InputError
from listed import list_images

ROOT = "s3://bucket/images"
CLASSIFICATION = "groundtruth/image-classification"


def write(folder: Path, *lines: dict[str, Any], name: str = "output.manifest") -> str:
    (folder / name).write_text("\n".join(map(json.dumps, lines)))
    return str(folder / name)


def line(name: str, **attributes: Any) -> dict[str, Any]:
    return {"source-ref": f"{ROOT}/{name}.jpg", **attributes}


def labelled(attribute: str, name: str, **metadata: Any) -> dict[str, Any]:
    described = {"class-name": name, "confidence": 1, "human-annotated": "yes", **metadata}
    return {attribute: 0, f"{attribute}-metadata": {"type": CLASSIFICATION, **described}}


def rows(url: str, label_column: Optional[str] = None) -> list[tuple[object, ...]]:
    return list_images(ROOT, url, label_column=label_column).values("path", "label")


def test_a_manifest_of_sagemaker(tmp_path: Path) -> None:
    url = write(tmp_path, line("1", **{"class": "0"}), line("2", **{"class": 7}), line("3"))
    listed = list_images(ROOT, url)
    assert listed.values("path", "label") == [("1.jpg", "0"), ("2.jpg", "7"), ("3.jpg", "")]
    assert listed.summary == (3, 0, {}, ("label",), (), ())


def test_metadata_name_the_class(tmp_path: Path) -> None:
    ground_truth = line("1", id=17, **labelled("pet", "cat"))
    failed = line("2", id=18, **{"pet-metadata": {"failure-reason": "x", "type": CLASSIFICATION}})
    assert rows(write(tmp_path, ground_truth)) == [("1.jpg", "cat")]
    # Then `id` could be the label.
    with_setting = write(tmp_path, ground_truth, failed)
    assert rows(with_setting, "pet") == [("1.jpg", "cat"), ("2.jpg", "")]


def test_in_rekognition_each_class_has_an_attribute(tmp_path: Path) -> None:
    url = write(
        tmp_path,
        line("1", **labelled("testdataset-classification_Sunrise", "Sunrise")),
        line("2", **labelled("testdataset-classification_Beach", "Beach")),
        name="list.jsonl",  # told by source-ref
    )
    assert rows(url) == [("1.jpg", "Sunrise"), ("2.jpg", "Beach")]


def test_the_only_class_of_a_job_of_several(tmp_path: Path) -> None:
    metadata = {"class-map": {"3": "dog"}, "type": f"{CLASSIFICATION}-multilabel"}
    one = line("1", pets=[3], **{"pets-metadata": metadata})
    none = line("2", pets=[], **{"pets-metadata": metadata})
    assert rows(write(tmp_path, one, none)) == [("1.jpg", "dog"), ("2.jpg", "")]


def test_a_manifest_without_labels(tmp_path: Path) -> None:
    url = write(tmp_path, line("cat/1"), line("dog/2"))
    listed = list_images(ROOT, url)
    assert (listed.paths, listed.summary.used_columns) == (["cat/1.jpg", "dog/2.jpg"], ())
    lines = [line(f"{number}") for number in range(1000)]
    url = write(tmp_path, *lines, line("x", label="cat"))
    with pytest.raises(InputError) as caught:
        rows(url)
    assert str(caught.value) == (
        f"{url}: line 1001 has the label 'cat', and none of the first 1,000 lines has one; write a "
        "line with a label first"
    )


@pytest.mark.parametrize(
    ("attributes", "label_column", "message"),
    [
        (labelled("a", "Sunrise") | labelled("b", "Beach"), None, "line 1 has 2 attributes that "
         "may be the label: a (Sunrise), b (Beach); an image has one label. Remove the others, or "
         "set preprocess.label_column to the attribute that is the label"),
        ({"class": 1, "weight": 2.5}, None, "line 1 has 2 attributes that may be the label: class "
         "(1), weight (2.5); an image has one label. Remove the others, or set "
         "preprocess.label_column to the attribute that is the label"),
        ({"pets": [1, 2]}, None, "line 1 has 2 classes in 'pets'; an image has one label"),
        ({"boxes": {"annotations": [{"class_id": 0, "left": 1}]}, "boxes-metadata": {}}, None,
         "line 1 has boxes in 'boxes'; set preprocess.catalogue_boxes: true, so that each box is "
         "an image, write a manifest of images with one label, or set preprocess.label_column to "
         "the attribute that is the label"),
        ({"class": {"x": 1}}, None, "line 1 has 'class': {\"x\": 1}; it must be a text or a "
         "number"),
        ({"class": 1}, "breed", "has no attribute breed; it has class. Correct "
         "preprocess.label_column"),
        ({"source-ref": None, "source": "text", "class": 1}, None, "line 1 has no source-ref, the "
         "path of an image"),
    ],
)  # fmt: skip
def test_an_unusable_manifest_is_an_error(
    tmp_path: Path, attributes: dict[str, Any], label_column: Optional[str], message: str
) -> None:
    url = write(tmp_path, {**line("1"), **attributes})
    with pytest.raises(InputError) as caught:
        rows(url, label_column)
    assert str(caught.value) == f"{url}: {message}"


def test_the_setting_chooses_one_of_several_attributes(tmp_path: Path) -> None:
    url = write(tmp_path, line("1", **labelled("a", "Sunrise"), **labelled("b", "Beach")))
    assert rows(url, "b") == [("1.jpg", "Beach")]


def test_images_of_another_bucket_are_an_error(tmp_path: Path) -> None:
    url = write(tmp_path, {"source-ref": "s3://other/1.jpg", "class": 1})
    with pytest.raises(InputError, match=r"1 paths are not below s3://bucket/images, such as s3:"):
        rows(url)


def boxed(*boxes: tuple[float, ...]) -> dict[str, Any]:
    """The attributes of a line with boxes, each of class_id, left, top, width and height."""
    names = ("class_id", "left", "top", "width", "height")
    annotations = [dict(zip(names, box)) for box in boxes]
    size = [{"width": 500, "height": 400, "depth": 3}]
    metadata = {
        "objects": [{"confidence": 1} for _ in boxes],
        "class-map": {"0": "Echo Dot", "1": "Echo"},
        "type": "groundtruth/object-detection",
    }
    return {"bb": {"annotations": annotations, "image_size": size}, "bb-metadata": metadata}


def test_each_box_is_an_image_if_the_setting_says_so(tmp_path: Path) -> None:
    first = line("1", **boxed((1, 10, 20, 30, 40), (0, 5.5, 6, 7, 8), (0, 5.5, 6, 7, 8)))
    url = write(tmp_path, first, line("2", **boxed()), line("3", **boxed((0, 0, 0, 2, 2))))
    listed = list_images(ROOT, url, boxes=True)
    assert listed.values("path", "label") == [
        ("1.jpg#xywh=10,20,30,40", "Echo"),
        ("1.jpg#xywh=5,6,8,8", "Echo Dot"),
        ("3.jpg#xywh=0,0,2,2", "Echo Dot"),
    ]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (boxed((2, 0, 0, 2, 2)), "has annotations[0] of 'bb' with the class_id 2, which the class-"
         "map of the metadata does not have"),
        (boxed((0, 0, 0, 2, 0)), "has annotations[0] of 'bb': {'class_id': 0, 'left': 0, 'top': 0, "
         "'width': 2, 'height': 0}; it must have left, top, width, height in px"),
        (boxed((0, 0, 0, 2, 2), (1, 0, 0, 2, 2)), "has in annotations[1] of 'bb' the class Echo, "
         "and another annotation gives the same box Echo Dot; remove one"),
        (labelled("pet", "cat"), "has boxes in 0 attributes, and preprocess.catalogue_boxes reads "
         "those of one; set preprocess.label_column to the attribute with the boxes"),
    ],
)  # fmt: skip
def test_unusable_boxes_are_an_error(
    tmp_path: Path, attributes: dict[str, Any], message: str
) -> None:
    url = write(tmp_path, line("1", **attributes))
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url, boxes=True)
    assert str(caught.value) == f"{url}: line 1 {message}"
