"""Plan to list images as the settings of preprocessing say."""

from __future__ import annotations

from halftone.config import PreprocessSettings
from halftone.listing.archive_remarks import ArchiveSettings
from halftone.listing.plan import ListingPlan, plan_listing


def plan_configured(root: str, settings: PreprocessSettings) -> ListingPlan:
    """Plan to list the images below `root`, or those of `settings.catalogue`.

    Raises:
        InputError: as `plan_listing`.
    """
    return plan_listing(
        *(root, settings.catalogue, settings.suffixes),
        label_column=settings.label_column,
        boxes=settings.catalogue_boxes,
        archives=ArchiveSettings.from_config(settings),
    )
