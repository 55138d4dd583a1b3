"""What is reported of archives when all units are listed, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

from halftone.config import PreprocessSettings
from halftone.errors import InputError
from halftone.listing.remarks import UnitRemarks


class ArchiveSettings(NamedTuple):
    """Which archives of a folder are read, and whether the labels that they hold count."""

    use: Literal["auto", "read", "ignore"] = "ignore"
    labels: Literal["stored", "path"] = "stored"

    @classmethod
    def from_config(cls, settings: PreprocessSettings) -> ArchiveSettings:
        return cls(settings.archives, settings.archive_labels)

    def are_read(self, num_archives: int, num_images: int) -> bool:
        """Return whether archives are read.

        Args:
            num_images: files that are images.
        """
        return num_archives > 0 and (self.use == "read" or (self.use == "auto" and not num_images))


def count_unread_archives(remarks: UnitRemarks) -> Counter[str]:
    """Return the number of archives that are not read, by their endings."""
    if remarks.num_archives:
        return Counter()
    names = [path.rpartition("/")[2] for path, _, _ in remarks.archives]
    endings = (f".{name.rpartition('.')[2]}" if "." in name else "no ending" for name in names)
    return Counter(endings)


def describe_archives(root: str, remarks: UnitRemarks) -> Iterator[str]:
    """Yield notes on archives."""
    if remarks.num_archives:
        yield (
            f"{root}: {remarks.num_members:,} images in {remarks.num_archives:,} archives are read "
            "(preprocess.archives)"
        )
    elif remarks.archives:
        example = min(path for path, _, _ in remarks.archives)
        yield (
            f"{root}: {len(remarks.archives):,} archives, such as {example}, are not read, as "
            "there are images beside them; preprocess.archives: read reads them, ignore says that "
            "they are not wanted"
        )


def check_stored_labels(root: str, remarks: UnitRemarks) -> None:
    """Check that the labels of all images are stored in archives, or none.

    Raises:
        InputError: labels from two sources would be mixed.
    """
    num_others = remarks.num_images - remarks.num_stored_labels
    if remarks.num_stored_labels and num_others:
        raise InputError(
            f"{root}: archives give {remarks.num_stored_labels:,} images a label, such as "
            f"{remarks.stored_label_example}, and {num_others:,} images none, such as "
            f"{remarks.path_label_example}; set preprocess.archive_labels: path to find all labels "
            "in the paths, or keep the two in folders of their own"
        )
