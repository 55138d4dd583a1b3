"""What a unit of a listing reports besides its rows, for decisions that need all units."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class UnitRemarks:
    """Counts of one unit; `merge` adds those of another. Examples are the first of each."""

    num_images: int = 0
    num_unreadable: int = 0  # those that cannot be read, as the listing shows
    # The number of files that are no images, by their ending or kind.
    ignored: Counter[str] = field(default_factory=Counter)
    # Archives to list, if they are wanted: path, size in bytes, time of modification.
    wants_archives: bool = False
    archives: list[tuple[str, int, float]] = field(default_factory=list)
    # Of the images in archives:
    num_archives: int = 0
    num_members: int = 0
    num_stored_labels: int = 0  # images with a label that their archive gives them
    stored_label_example: str = ""
    path_label_example: str = ""  # an image without one
    # The number of images whose ending tells a format that an optional package decodes.
    by_format: Counter[str] = field(default_factory=Counter)
    # Of the images of a table:
    num_with_group: int = 0
    num_with_split: int = 0
    num_with_slash: int = 0  # paths with a forward slash
    num_backslashes: int = 0  # paths with a back-slash
    backslash_example: str = ""
    num_outside: int = 0  # paths that are not below the folder of images; they get no row
    outside_example: str = ""

    @property
    def num_files(self) -> int:
        return self.num_images + self.num_unreadable + sum(self.ignored.values())

    def merge(self, later: UnitRemarks) -> None:
        """Add the counts of a unit with a greater number."""
        self.num_images += later.num_images
        self.num_unreadable += later.num_unreadable
        self.ignored.update(later.ignored)
        self.archives += later.archives
        self.num_archives += later.num_archives
        self.num_members += later.num_members
        self.num_stored_labels += later.num_stored_labels
        self.stored_label_example = self.stored_label_example or later.stored_label_example
        self.path_label_example = self.path_label_example or later.path_label_example
        self.by_format.update(later.by_format)
        self.num_with_group += later.num_with_group
        self.num_with_split += later.num_with_split
        self.num_with_slash += later.num_with_slash
        self.num_backslashes += later.num_backslashes
        self.backslash_example = self.backslash_example or later.backslash_example
        self.num_outside += later.num_outside
        self.outside_example = self.outside_example or later.outside_example

    def to_json(self) -> str:
        return json.dumps(vars(self))

    @staticmethod
    def from_json(text: str) -> UnitRemarks:
        values = json.loads(text)
        # An older version, whose listing a job goes on with, did not count by format.
        counters = {name: Counter(values.get(name, {})) for name in ("ignored", "by_format")}
        return UnitRemarks(**{**values, **counters})
