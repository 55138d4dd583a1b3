"""Raw images in a folder or a table, their labels and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from halftone import arrow, storage
from halftone.errors import InputError
from halftone.listing import ListingKeys, ListingPlan, plan_listing
from halftone.preprocess.entries import ENTRIES
from halftone.scoring import image_listing
from halftone.scoring.image_listing import LabelRules

RULES = LabelRules(("cat", "dog"), r"([^/]+)/[^/]+$", seed=7)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in ("cat/a.png", "later/b.png", "later/notes.txt"):
        (tmp_path / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / path).write_bytes(b"12345")
    return tmp_path / "images"


def list_units(plan: ListingPlan, folder: Path) -> list[Any]:
    """List all units as the tasks of Spark do."""
    names = image_listing._UNIT_RESULTS.names
    return [
        SimpleNamespace(**dict(zip(names, values)))
        for unit in plan.units.to_pylist()
        for values in image_listing.write_unit(plan, RULES, str(folder), **unit)
    ]


def combine(plan: ListingPlan, results: list[Any]) -> image_listing.ImageListing:
    return image_listing.combine_units(plan, RULES.classes, results)


def test_a_folder_that_is_no_class_gives_no_label(root: Path, tmp_path: Path) -> None:
    (root / "cat" / "broken.png").symlink_to("nowhere")
    plan = plan_listing(str(root), None, ["png"])
    listing = combine(plan, list_units(plan, tmp_path / "parts"))
    assert (listing.num_usable, listing.num_unusable, listing.num_images) == (2, 1, 3)
    assert listing.ignored == {".txt": 1}
    (part,) = listing.parts
    entries = storage.read_table(part)
    assert entries.schema == ENTRIES
    names = ("key", "path", "label", "split", "size_bytes", "reason", "detail")
    assert sorted(arrow.iter_rows(entries, *names))[0::2] == [
        (f"{root}/cat/a.png", "cat/a.png", "cat", 0, 5, "", ""),
        (f"{root}/later/b.png", "later/b.png", "", 0, 5, "", ""),
    ]
    (broken,) = [row for row in entries.to_pylist() if row["reason"]]
    assert (broken["path"], broken["reason"]) == ("cat/broken.png", "unreadable")
    assert broken["detail"] == "a dangling link: nowhere does not exist"
    assert len(set(entries["position"].to_pylist())) == 3


def test_the_digest_depends_on_the_images(root: Path, tmp_path: Path) -> None:
    def digest() -> str:
        plan = plan_listing(str(root), None, ["png"])
        return combine(plan, list_units(plan, tmp_path / "parts")).digest

    first = digest()
    assert first == digest()
    (root / "cat" / "c.png").write_bytes(b"1")
    assert digest() != first


def test_a_label_of_a_table_must_be_a_class(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("path,label\ncat/a.png,\nlater/b.png,cow\n")
    plan = plan_listing(str(root), str(table), ["png"])
    with pytest.raises(InputError) as caught:
        combine(plan, list_units(plan, tmp_path / "parts"))
    assert str(caught.value) == (
        f"{table}: the label 'cow' is not a class of the model, which has cat, dog; correct it, "
        "or leave it empty if it is not known"
    )


def test_a_table_of_new_images_need_not_have_the_column_of_labels(
    root: Path, tmp_path: Path
) -> None:
    keys = ListingKeys("--images", "score.catalogue", requires_label=False)
    table = tmp_path / "list.jsonl"
    for label, found in (("breed", "dog"), ("label", "cat")):  # which else the folder tells
        table.write_text(f'{{"path": "cat/a.png", "{label}": "dog"}}\n')
        plan = plan_listing(str(root), str(table), ["png"], keys, label_column="breed")
        images = combine(plan, list_units(plan, tmp_path / "parts"))
        assert plan.has_labels == (label == "breed")
        (part,) = images.parts
        assert storage.read_table(part)["label"].to_pylist() == [found]


def test_errors_of_a_unit_are_raised(tmp_path: Path, root: Path) -> None:
    plan = plan_listing(str(root), None, ["png"])
    results = list_units(plan, tmp_path / "parts")
    results[0].error = "the folder is gone"
    with pytest.raises(InputError, match=r"^the folder is gone$"):
        combine(plan, results)
