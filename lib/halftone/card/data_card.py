"""The data card of a dataset: one page on what it holds, how it was made, and its limits.

T. Gebru et al., "Datasheets for Datasets", Communications of the ACM 64 (2021): its sections, with
the questions that the manifest or the section `card` of the config answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from halftone import printable
from halftone.card import limits
from halftone.card.changed_settings import list_changed_settings
from halftone.card.markdown_text import (
    bullets,
    code,
    escape,
    front_matter,
    licence_metadata,
    paragraphs,
    stated,
    table,
    yaml_block,
)
from halftone.config import CardSettings, Config, Paths, PixelSpec
from halftone.dataset.manifest import Manifest

MAX_CLASS_ROWS, NUM_LARGEST = 20, 10  # as in the summary that the job prints
_MAX_SIZE_CATEGORIES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")
_FITS = {
    "stretch": "stretched to this size, which distorts other aspect ratios",
    "crop": "scaled, then cut at the centre",
    "pad": "scaled, then padded with margins",
}


def render_data_card(manifest: Manifest) -> str:
    """Return the card as Markdown, with the metadata that Hugging Face reads.

    Equal manifests give equal texts.
    """
    card = manifest.card
    name = _dataset_name(manifest)
    metadata = {
        **licence_metadata(card.licence_of_data),
        "pretty_name": printable.escape_line(name),
        "task_categories": ["image-classification"],
        "size_categories": [_size_category(manifest.rows)],
    }
    blocks = [
        front_matter(metadata),
        f"# Data card: {escape(name)}",
        f"{manifest.rows:,} images of {len(manifest.labels):,} classes, version "
        f"{manifest.version} of the dataset, fingerprint {code(manifest.fingerprint)}, made by "
        f"Halftone {escape(manifest.halftone_version)} on {utc_date(manifest.created)}.",
        "## Uses",
        paragraphs(card.intended_use, "card.intended_use"),
        "## Licence and contact",
        f"Licence of the images: {stated(card.licence_of_data, 'card.licence')}",
        f"Contact: {stated(card.contact, 'card.contact')}",
        "## Composition",
        count_table(manifest),
        f"{manifest.inputs:,} images = {manifest.rows:,} rows + {manifest.rejects:,} rejects + "
        f"{manifest.duplicates:,} duplicates (files with the same bytes as a row).",
        _describe_near_duplicates(manifest),
        *_reject_table(manifest),
        *_ignored_files(manifest),
        "## Collection and processing",
        bullets(
            [
                f"source: {code(manifest.images)}, read recursively",
                f"labels: {_describe_labels(manifest)}",
                f"splits: {_describe_splits(manifest)}",
                f"pixels: {describe_pixels(manifest.pixels)}",
            ]
        ),
        "## Known limits",
        *limit_blocks(card, limits.describe_limits(manifest)),
        "## Make it again",
        "From the same images, this config gives a dataset with the same fingerprint:",
        yaml_block(_config_of(manifest)),
        "```sh\npython jobs/preprocess.py --config FILE --output FOLDER\n```",
        _describe_history(manifest),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def count_table(manifest: Manifest) -> str:
    """Return the table of rows by class and split; of many classes, the largest and smallest."""
    splits = list(manifest.counts)
    by_label = {
        label: [manifest.counts[split].get(label, 0) for split in splits]
        for label in manifest.labels
    }
    shown = list(by_label)
    note = ""
    if len(shown) > MAX_CLASS_ROWS:
        ordered = sorted(by_label, key=lambda label: -sum(by_label[label]))
        shown = [*ordered[:NUM_LARGEST], *ordered[-NUM_LARGEST:]]
        note = (
            f"\n\nThese are the {NUM_LARGEST} largest and the {NUM_LARGEST} smallest of "
            f"{len(by_label):,} classes; `manifest.json` has all."
        )
    rows = [[escape(label), *_cells([*by_label[label], sum(by_label[label])])] for label in shown]
    totals = [sum(manifest.counts[split].values()) for split in splits]
    rows.append(["all", *_cells([*totals, sum(totals)])])
    return table(["class", *splits, "rows"], rows) + note


def limit_blocks(card: CardSettings, sentences: Sequence[str]) -> list[str]:
    """Return the limits that people state, and those that the numbers show."""
    if not card.limitations:
        return [bullets([escape(text) for text in sentences]) or "The numbers show none."]
    stated_limits = paragraphs(card.limitations, "card.limitations")
    found = bullets([escape(text) for text in sentences]) or "The numbers show no others."
    return [stated_limits, found]


def describe_pixels(pixels: PixelSpec) -> str:
    """Return size, format and storage of the images."""
    colour = "RGB" if pixels.channels == 3 else "grey"
    quality = f" of quality {pixels.jpeg_quality}" if pixels.encoding == "jpeg" else ""
    return (
        f"{pixels.height_px} x {pixels.width_px} px (height x width), {colour}, uint8; images are "
        f"{_FITS[pixels.fit]} (fit: {pixels.fit}); stored as {pixels.encoding}{quality}"
    )


def utc_date(text: str) -> str:
    """Return the date of an ISO 8601 time in UTC; other texts are returned as they are."""
    try:
        return datetime.fromisoformat(text).astimezone(timezone.utc).date().isoformat()
    except ValueError:
        return escape(text)


def _cells(counts: list[int]) -> list[str]:
    return [f"{count:,}" for count in counts]


def _dataset_name(manifest: Manifest) -> str:
    """Return the name of the folder of images, which is not always telling."""
    return manifest.images.rstrip("/").rpartition("/")[2] or "images"


def _size_category(rows: int) -> str:
    exponent = max(0, len(str(rows)) - 3) if rows >= 1000 else 0
    return (*_MAX_SIZE_CATEGORIES, "100M<n<1B", "1B<n<10B")[min(exponent, 7)]


def _describe_near_duplicates(manifest: Manifest) -> str:
    method = manifest.preprocess.near_duplicates
    if method == "off":
        return ""
    num_dropped = manifest.near_duplicates - manifest.possible_label_errors
    action = f"{num_dropped:,} of them dropped" if method == "drop" else "kept"
    text = f"{manifest.near_duplicates:,} near duplicates of images of an earlier split"
    return f"{text}, {action}." if manifest.near_duplicates else f"{text}."


def _reject_table(manifest: Manifest) -> list[str]:
    if not manifest.rejects_by_reason:
        return []
    by_count = sorted(manifest.rejects_by_reason.items(), key=lambda item: (-item[1], item[0]))
    rows = [[escape(reason), f"{count:,}"] for reason, count in by_count]
    return [table(["rejected because", "images"], rows)]


def _ignored_files(manifest: Manifest) -> list[str]:
    if not manifest.ignored:
        return []
    kinds = ", ".join(
        f"{count:,} {escape(kind)}" for kind, count in sorted(manifest.ignored.items())
    )
    return [f"Files that are not images by their name, which were not read: {kinds}."]


def _describe_labels(manifest: Manifest) -> str:
    if "label" in (manifest.used_columns or []):
        column = code(manifest.preprocess.label_column or "label")
        return f"the column {column} of {code(manifest.preprocess.catalogue or '')}"
    return f"the group of the regular expression {code(manifest.preprocess.label_from)} in the path"


def _describe_splits(manifest: Manifest) -> str:
    settings = manifest.splits
    if "split" in (manifest.used_columns or []):
        return f"the column `split` of {code(manifest.preprocess.catalogue or '')}"
    parts = []
    if settings.from_path:
        parts.append(f"predefined, found in the path by {code(settings.from_path)}; the others")
    group = "each group of images" if settings.group_by else "each image"
    parts.append(f"{group} by a hash of its name and the seed {manifest.seed}")
    parts.append(
        f"{settings.validation_fraction:.0%} validation and {settings.test_fraction:.0%} test"
    )
    if settings.folds:
        parts.append(f"validation is fold {settings.fold} of {settings.folds}")
    num_stratified = len(set(manifest.labels).intersection(manifest.split_salts))
    if num_stratified:
        parts.append(f"stratified for {num_stratified:,} of {len(manifest.labels):,} classes")
    return ", ".join(parts)


def _describe_history(manifest: Manifest) -> str:
    if not manifest.split_salts:
        return ""
    return (
        "Images of the stratified classes get their splits by the images that each class had when "
        "it was new: from images that arrived later, a dataset that is made at once may have other "
        "splits of these classes."
    )


def _config_of(manifest: Manifest) -> Mapping[str, Any]:
    return list_changed_settings(
        Config(
            seed=manifest.seed,
            paths=Paths(images=manifest.images),
            pixels=manifest.pixels,
            splits=manifest.splits,
            preprocess=manifest.preprocess,
        )
    )
