"""A manifest of four images, for tests that need a manifest but no dataset."""

from halftone.config import PixelSpec, PreprocessSettings, SplitSettings
from halftone.dataset.manifest import Manifest
from halftone.dataset.shard_files import ShardFile


def example() -> Manifest:
    """A manifest with all fields, whose files do not exist."""
    return Manifest(
        schema_version=1,
        halftone_version="0.1.0",
        created="2026-01-02T03:04:05+00:00",
        seed=7,
        pixels=PixelSpec(height_px=8, width_px=4, channels=3),
        splits=SplitSettings(),
        preprocess=PreprocessSettings(),
        images="/images",
        labels=["cat", "dog"],
        inputs=4,
        rows=3,
        rejects=1,
        duplicates=0,
        ignored={".md": 1},
        rejects_by_reason={"empty": 1},
        counts={"train": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 0}},
        version=1,
        gone=0,
        fingerprint="f",
        files=[
            ShardFile(
                path="train/a.parquet",
                split="train",
                rows=2,
                size_bytes=9,
                digest="d",
                sums=(64, 640, 128),
                square_sums=(128, 7296, 256),
            ),
            ShardFile(path="test/b.parquet", split="test", rows=1, size_bytes=9, digest="e"),
        ],
        rejects_files=["rejects/a.parquet"],
        duplicates_files=[],
        near_duplicates=0,
        near_duplicates_files=[],
        contact_sheet="contact_sheets/a.png",
    )
