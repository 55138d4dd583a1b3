"""Find wrong labels: predict each image out of its fold, judge all labels, and publish the result.

label_errors.json        what was found; names the other files, and is written last
label_errors.parquet/    all judged images, the most suspicious first, see ranking.LABEL_ERRORS
label_errors.html        for people
corrections.csv          a catalogue for preprocess, with suggestions to accept
cross_validation/        the experiment: a dataset, a model and scores for each fold
_staging/                sorted rows without ranks, until the end
_lock/                   the process that writes here, see halftone.locking
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Callable, Optional

from pyspark.sql import SparkSession

import halftone
from halftone import storage
from halftone.config import Config, require_path
from halftone.config.dataset import READ_BY_SPARK
from halftone.dataset.splits import TEST
from halftone.errors import InputError
from halftone.label_errors import (
    class_counts,
    confident_joint,
    corrections,
    cross_validation,
    findings,
    page,
    pictures,
    prediction_files,
    ranking,
)
from halftone.label_errors.cross_validation import FoldScores
from halftone.label_errors.findings import (
    CORRECTIONS,
    FINDINGS,
    PAGE,
    TABLE,
    LabelFindings,
    Unjudged,
)
from halftone.locking.lock import LOCK_FOLDER
from halftone.locking.output import hold_output
from halftone.scoring import scores_directory

_STAGING = "_staging"
_OWN_NAMES = {
    *(FINDINGS, TABLE, PAGE, CORRECTIONS, cross_validation.FOLDER, _STAGING, LOCK_FOLDER),
}
_FORMAT = 1  # increased when the result would differ for the same predictions


def find_label_errors(
    config: Config, session: Callable[[], SparkSession]
) -> tuple[LabelFindings, str]:
    """Find wrong labels among the images of a config.

    Finished folds are kept, and so are findings of the same predictions.

    Args:
        config: the whole config, with `paths.images` and `paths.label_errors`.
        session: returns the SparkSession; called after the trainings, if there is something to do.

    Returns:
        The findings, and the URL of the output.

    Raises:
        InputError: settings, images or the output are invalid.
        LockHeldError: another process writes to the output.
        RunError: a training failed; the same call continues.
        KeyboardInterrupt: a signal was received; the same call continues.
    """
    images = require_path(config.paths.images, "images", "--images")
    output = storage.normalise_url(
        require_path(config.paths.label_errors, "label_errors", "--output")
    )
    catalogue = config.preprocess.catalogue
    if catalogue is not None and catalogue.startswith(READ_BY_SPARK):
        raise InputError(
            f"{catalogue}: is read by Spark, and corrections are of a file; write the rows to one, "
            "and give that as preprocess.catalogue"
        )
    if not storage.exists(storage.normalise_url(images)):
        raise InputError(f"{images}: no such folder; check paths.images or --images")
    _check_output(output)
    with hold_output(output, "label errors") as lock:
        folds = cross_validation.run_folds(config, output)
        run = _name_run(config, folds)
        standing = _read_standing(output, run)
        if standing is not None:
            return standing, output
        _check_corrections(output)
        found, html = _judge(config, folds, run, output, session())
        lock.check()
        storage.write_bytes(storage.join(output, PAGE), html.encode())
        storage.write_json(storage.join(output, FINDINGS), found.model_dump(mode="json"))
        _remove_old_files(output, found)
    return found, output


def _check_output(output: str) -> None:
    names = storage.list_names(output)
    if names and _OWN_NAMES.isdisjoint(names):
        raise InputError(
            f"{output}: exists and holds no label errors (it holds {', '.join(names[:3])}"
            f"{', ...' if len(names) > 3 else ''}); give another --output"
        )


def _name_run(config: Config, folds: list[FoldScores]) -> str:
    """Return a name for everything that the findings depend on."""
    listings = [(fold.data.fingerprint, fold.data.images_digest, fold.run) for fold in folds]
    return scores_directory.hash_parts(_FORMAT, config.name, folds[0].data.images, listings)


def _read_standing(output: str, run: str) -> Optional[LabelFindings]:
    """Return the findings at the output if they are those of this run, with all their files."""
    found = findings.read_findings(output)
    if (
        found is None
        or found.run != run
        or not {PAGE, CORRECTIONS} <= {*storage.list_names(output)}
    ):
        return None
    has_rows = scores_directory.holds_rows(storage.join(output, TABLE), found.files, found.rows)
    return found if has_rows else None


def _check_corrections(output: str) -> None:
    """Raise InputError if corrections.csv has been edited: it would be overwritten."""
    url = storage.join(output, CORRECTIONS)
    found = findings.read_findings(output)
    if found is None or not storage.exists(url):
        return
    if corrections.file_digest(url) != found.corrections.digest:
        raise InputError(
            f"{url}: was edited, and the findings have changed since; move it to another place, "
            "then run the same command again"
        )


def _judge(
    config: Config, folds: list[FoldScores], run: str, output: str, spark: SparkSession
) -> tuple[LabelFindings, str]:
    """Write the table and the corrections; return the findings and the page."""
    data = folds[0].data
    labels = data.labels
    urls = [(fold.fold, fold.predictions) for fold in folds]
    files = prediction_files.create_files_frame(spark, urls)
    sums = class_counts.sum_probabilities(files, labels)
    thresholds = confident_joint.class_thresholds(*sums)
    pairs = class_counts.count_pairs(files, labels, thresholds)
    num_rows = int(sums.num_rows.sum())

    staging = storage.join(output, _STAGING)
    storage.remove(staging)
    judged = ranking.judge_files(files, labels, thresholds)
    parts = ranking.write_sorted(judged, num_rows, staging)
    names = [f"{run}-{number:05d}.parquet" for number in range(len(parts))]
    tables = [storage.join(output, TABLE, name) for name in names]
    ranking.write_ranks(spark, parts, tables)
    first = ranking.read_first(parts[0][0], page.MAX_PICTURES)

    duplicates = [
        storage.join(fold.dataset, file) for fold in folds for file in fold.data.duplicates_files
    ]
    url = storage.join(output, CORRECTIONS)
    classes = findings.list_classes(labels, sums, pairs)
    num_test = sum(data.counts[TEST].values())
    found = LabelFindings(
        run=run,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        halftone_version=halftone.__version__,
        images=data.images,
        folds=len(folds),
        rows=num_rows,
        issues=int(pairs.issues.sum()),
        estimated_errors=sum(of_class.estimated_errors for of_class in classes),
        classes=classes,
        pairs=findings.list_pairs(labels, sums, pairs),
        unjudged=Unjudged(test=num_test, others=data.inputs - num_rows - num_test),
        files=names,
        corrections=corrections.write_corrections(spark, config, tables, duplicates, url),
    )
    images = pictures.read_pictures(spark, first, folds)
    return found, page.render_findings(config.name, found, images)


def _remove_old_files(output: str, found: LabelFindings) -> None:
    folder = storage.join(output, TABLE)
    for name in storage.list_names(folder):
        if name not in found.files:
            storage.remove(storage.join(folder, name))
    storage.remove(storage.join(output, _STAGING))
