from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

from halftone.errors import InputError
from halftone.listing import coco
from listed import list_images

ROOT = "/data/images"
CATEGORIES = [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 18, "name": "dog"}]
IMAGES = [
    {"id": 9, "file_name": "000009.jpg", "width": 640, "height": 480},
    {"id": 25, "file_name": "val/000025.jpg", "coco_url": "http://images.example/25.jpg"},
]


def document(**parts: Any) -> dict[str, Any]:
    annotations = [
        {"id": 1, "image_id": 25, "category_id": 18, "bbox": [1, 2, 3, 4]},
        {"id": 2, "image_id": 25, "category_id": 18, "bbox": [5, 2, 3, 4]},
    ]
    return {
        "info": {"year": 2017},
        "images": IMAGES,
        "annotations": annotations,
        "categories": CATEGORIES,
        **parts,
    }


def write(folder: Path, content: object, indent: Optional[int] = None) -> str:
    text = content if isinstance(content, str) else json.dumps(content, indent=indent)
    (folder / "instances.json").write_text(text)
    return str(folder / "instances.json")


@pytest.mark.parametrize("indent", [None, 2])
def test_the_category_is_the_label(tmp_path: Path, indent: Optional[int]) -> None:
    listed = list_images(ROOT, write(tmp_path, document(), indent))
    assert listed.values("path", "label", "size_bytes") == [
        ("000009.jpg", "", -1),
        ("val/000025.jpg", "dog", -1),
    ]
    assert listed.summary == (2, 0, {}, ("label",), (), ())


def test_a_document_whose_first_line_is_an_object_with_images(tmp_path: Path) -> None:
    content = {"images": IMAGES, "annotations": [], "categories": CATEGORIES}
    assert list_images(ROOT, write(tmp_path, content)).paths == ["000009.jpg", "val/000025.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"info": 1, "images": []}, "is neither JSON Lines nor a file of COCO, which has lists of "
         "images, annotations and categories; it has info, images"),
        ([{"path": "1.jpg"}], "is a JSON list; write one object a line, without the brackets and "
         "commas between them (.jsonl)"),
        ('{\n "images": [],\n "annotations": [},\n', "line 3, column 18: is not JSON: Expecting "
         "value"),
        (document(annotations=[{"image_id": 9, "category_id": 1}, {"image_id": 9,
         "category_id": 18}]), "annotations[1]: gives 000009.jpg the category dog, and another "
         "annotation gives it cat; an image has one label. Remove the images of several "
         "categories, keep one annotation of each, or set preprocess.catalogue_boxes: true, so "
         "that each box is an image"),
        (document(annotations=[{"image_id": 8, "category_id": 1}]), "annotations[0]: image_id is "
         "8; none of the images has that id"),
        (document(annotations=[{"image_id": 9, "category_id": "1"}]), "annotations[0]: category_id "
         "is '1'; none of the categories has that id"),
        (document(annotations=[{"image_id": 9}]), "annotations[0]: has no category_id"),
        (document(images=[{"id": 9}]), "images[0]: has no file_name"),
        (document(images=[*IMAGES, {"id": 9, "file_name": "x.jpg"}]), "images[2]: id is 9, which "
         "another of the images has"),
        (document(images=[*IMAGES, {"id": 1, "file_name": "000009.jpg"}]), "images: several have "
         "the file_name 000009.jpg"),
        (document(categories=[*CATEGORIES, {"id": 2, "name": "cat"}]), "categories: several have "
         "the name 'cat'; rename them"),
        (document(images=[], annotations=[]), "names no images"),
    ],
)  # fmt: skip
def test_an_unusable_document_is_an_error(tmp_path: Path, content: object, message: str) -> None:
    url = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url)
    assert str(caught.value) == f"{url}: {message}"


def test_each_box_is_an_image(tmp_path: Path) -> None:
    annotations: list[dict[str, Any]] = [
        {"image_id": 9, "category_id": 1, "bbox": [73.36, 0, 10.64, 20.5]},
        {"image_id": 9, "category_id": 18, "bbox": [0, 0, 640, 480]},
        {"image_id": 9, "category_id": 18, "bbox": [0, 0, 640, 480], "iscrowd": 1},
    ]
    url = write(tmp_path, document(annotations=annotations))
    assert list_images(ROOT, url, boxes=True).values("path", "label") == [
        ("000009.jpg#xywh=73,0,11,21", "cat"),
        ("000009.jpg#xywh=0,0,640,480", "dog"),
    ]
    for box in ([1, 2, 3], None, [1, 2, 0, 4], [-1, 2, 3, 4], "1,2,3,4", [1, 2, 3, 1e12]):
        annotations[1]["bbox"] = box
        with pytest.raises(InputError) as caught:
            list_images(ROOT, write(tmp_path, document(annotations=annotations)), boxes=True)
        assert str(caught.value) == (
            f"{url}: annotations[1]: bbox is {box!r}; it must be x, y, width and height in px"
        )
    annotations[1] = {**annotations[2], "category_id": 1}
    with pytest.raises(InputError) as caught:
        list_images(ROOT, write(tmp_path, document(annotations=annotations)), boxes=True)
    assert str(caught.value) == (
        f"{url}: annotations[2]: gives a box of 000009.jpg the category dog, and another "
        "annotation gives the same box cat; remove one"
    )


def test_a_document_that_is_too_large_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "MAX_BYTES", 1000)
    url = write(tmp_path, document(info="x" * 2000))
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url)
    assert str(caught.value) == (
        f"{url}: has {Path(url).stat().st_size:,} bytes, and a JSON document, which is read as a "
        "whole, may have 1,000; write its images as JSON Lines with path and label (.jsonl)"
    )
