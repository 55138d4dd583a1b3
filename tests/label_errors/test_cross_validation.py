"""The settings of the folds."""

from __future__ import annotations

from halftone.config import config_from_mapping
from halftone.label_errors import cross_validation


def test_only_settings_that_decide_about_probabilities_are_kept() -> None:
    config = config_from_mapping(
        {
            "name": "pets",
            "seed": 3,
            "paths": {"images": "/images", "dataset": "/dataset", "label_errors": "/out"},
            "splits": {"folds": 4, "fold": 2, "group_by": "(.)/"},
            "score": {
                "views": "flip",
                "calibrate": True,
                "threshold": "precision",
                "wanted_precision": 0.9,
                "split": "validation",
            },
            "retrain": {"webhook": "https://host/secret"},
        },
        "test",
    )
    kept = cross_validation.fold_settings(config)
    expected = config_from_mapping(
        {
            "name": "pets",
            "seed": 3,
            "paths": {"images": "/images"},
            "splits": {"group_by": "(.)/"},
            "score": {"views": "flip", "calibrate": True},
        },
        "test",
    )
    assert kept == expected
