"""Which catalogue the slices of scores are from, and whether earlier scores have them already."""

from __future__ import annotations

from typing import NamedTuple, Optional

from halftone.config import ScoreSettings
from halftone.config.dataset import READ_BY_SPARK
from halftone.errors import InputError
from halftone.listing import SliceTable, open_slice_table
from halftone.listing.delta_table import table_url
from halftone.metrics.model import SliceScores
from halftone.scoring import scores_directory

# The settings that change no prediction and no metric of all rows.
SLICE_SETTINGS = {"slices", "slice_catalogue"}


class SlicePlan(NamedTuple):
    table: SliceTable
    digest: str  # of the columns and the state of the table's files


def plan_slices(
    settings: ScoreSettings, catalogue: Optional[str], root: str
) -> Optional[SlicePlan]:
    """Open the catalogue of the slices, before any work of a cluster.

    Args:
        catalogue: that of the images, which is used without score.slice_catalogue.
        root: the folder of images.

    Returns:
        None without score.slices.

    Raises:
        InputError: there is no catalogue, or it lacks a column.
    """
    if not settings.slices:
        return None
    url = settings.slice_catalogue or catalogue
    if url is None:
        raise InputError(
            f"score.slices is {', '.join(settings.slices)}, and no catalogue has these columns: "
            f"the images of {root} were listed without one. Give one as score.slice_catalogue"
        )
    if url.startswith(READ_BY_SPARK):
        raise InputError(
            f"{url}: is read by Spark, which only preprocess does; give a CSV or Parquet file with "
            "the columns of score.slices as score.slice_catalogue"
        )
    table = open_slice_table(table_url(url), root, settings.slices)
    files = [list(file) for file in table.files]
    digest = scores_directory.hash_parts(table.url, root, table.columns, files)
    return SlicePlan(table, digest)


def has_planned_slices(slices: Optional[SliceScores], plan: Optional[SlicePlan]) -> bool:
    """Return whether earlier scores have the slices of a plan, of the same state of its files."""
    return (slices and slices.digest) == (plan and plan.digest)
