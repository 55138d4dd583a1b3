"""Which settings change a result. A new setting fails here until its effect is listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from halftone.config import Config, RetrainSettings, TrainSettings, config_from_mapping
from halftone.config.base import ConfigSection
from halftone.config.effects import (
    METRICS,
    RESUMABLE,
    ROWS,
    SHOWN,
    drop_added_defaults,
    effect_of,
    reset_neutral_settings,
    reset_settings,
    result_settings,
)

RESULT_NAMES = """
    seed  pixels.height_px pixels.width_px pixels.channels pixels.fit
    pixels.background pixels.max_pixels pixels.max_scans pixels.min_side_px
    pixels.encoding pixels.jpeg_quality
    splits.validation_fraction splits.test_fraction splits.folds splits.fold
    splits.from_path splits.group_by splits.stratify
    preprocess.label_from preprocess.catalogue
    preprocess.label_column preprocess.catalogue_query preprocess.catalogue_boxes
    preprocess.suffixes preprocess.archives preprocess.archive_labels
    preprocess.rows_per_shard preprocess.near_duplicates
    preprocess.near_distance preprocess.min_shards train.model.name train.model.filters
    train.model.kernels_px train.model.strides_px train.model.padding
    train.model.pooling train.model.pool_after train.model.pool_padding
    train.model.activation train.model.leaky_slope train.model.batch_norm
    train.model.batch_norm_before_activation train.model.batch_norm_momentum
    train.model.conv_dropout train.model.batch_norm_scale train.model.pool_before_activation
    train.model.conv_bias train.model.whitening_px train.model.identity_start
    train.model.output_scale train.model.global_average train.model.global_max
    train.model.global_pooling train.model.dense
    train.model.dense_dropout train.model.hidden train.model.dropout train.model.stem_filters
    train.model.stem_kernel_px train.model.stem_stride_px train.model.stem_pooling
    train.model.blocks train.model.stage_start train.model.bottleneck
    train.model.activation_order train.model.shortcut train.model.global_pooling
    train.model.architecture train.model.weights train.model.head.pooling
    train.model.head.dense train.model.head.dropout train.model.build train.model.args
    train.model.output train.normalise
    train.augment.flip train.augment.shift_fraction train.augment.crop_padding_px
    train.augment.rotate_degrees
    train.augment.zoom_fraction train.augment.brightness_fraction
    train.augment.contrast_fraction train.augment.hue_fraction train.augment.cutout_px
    train.augment.saturation_fraction train.augment.erase_probability
    train.augment.mixup_alpha train.augment.cutmix_alpha
    train.augment.random_resized_crop_min_area train.input_px
    train.cache train.shuffle train.batch_size
    train.optimizer train.learning_rate train.bias_learning_rate_factor train.momentum
    train.scale_learning_rate
    train.nesterov train.decay_epochs train.decay_factor train.decay_patience
    train.one_cycle_rise_fraction train.one_cycle_start_factor train.one_cycle_end_factor
    train.average_weights train.loss train.focal_gamma train.label_smoothing
    train.class_weights train.best_by train.sampling
    train.freeze train.unfreeze_after_epochs train.unfreeze_learning_rate
    train.warmup_epochs train.decay train.weight_decay train.clip_norm train.precision
    train.compression train.aggregate_steps train.start_from score.threshold
    score.wanted_precision score.calibrate score.views retrain.registered_model retrain.start
    retrain.gate.measure
    retrain.gate.confidence retrain.gate.max_class_drop retrain.gate.floor
    retrain.gate.slice_floor retrain.gate.max_slice_drop retrain.gate.slice_min_rows
    retrain.drift.warn retrain.drift.stop retrain.drift.confidence
    retrain.drift.embeddings retrain.drift.embedding_warn retrain.drift.embedding_stop
"""
NOTHING_NAMES = """
    name paths splits.allow_ungrouped
    preprocess.max_reject_fraction preprocess.max_near_duplicate_fraction
    preprocess.read_threads preprocess.full_listing_days train.cycle_ms
    train.launcher train.hosts train.network_interface train.max_restarts
    train.keep_checkpoints score.batch_size score.only_new tracking card retrain
    retrain.folder retrain.prune retrain.keep retrain.lock_secs retrain.max_attempts
    retrain.fail_on_refusal retrain.webhook retrain.outcome_file storage monitoring spark
"""
RESUMABLE_NAMES = """
    train.epochs train.patience train.ranks
"""
ROWS_NAMES = """
    score.split score.catalogue
"""
METRICS_NAMES = """
    score.top_ks score.slices score.slice_catalogue
"""
SHOWN_NAMES = """
    score.heat_maps score.max_csv_rows
"""


def sections_of(annotation: Any) -> list[type[ConfigSection]]:
    types = [annotation, *get_args(annotation)]
    return [each for each in types if isinstance(each, type) and issubclass(each, ConfigSection)]


def effects(section: type[ConfigSection], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted name, effect) of each setting, or of a section that changes nothing."""
    for name, field in section.model_fields.items():
        sections, effect = sections_of(field.annotation), effect_of(section, name)
        if not sections or effect != "result":
            yield prefix + name, effect
        else:
            for each in sections:
                yield from effects(each, f"{prefix}{name}.")


def test_every_setting_has_a_known_effect() -> None:
    expected = {
        name: effect
        for effect, names in (
            ("result", RESULT_NAMES),
            ("nothing", NOTHING_NAMES),
            ("resumable", RESUMABLE_NAMES),
            ("rows", ROWS_NAMES),
            ("metrics", METRICS_NAMES),
            ("shown", SHOWN_NAMES),
        )
        for name in names.split()
    }
    # Section `retrain` changes no dataset, model or score, but the result of retraining.
    assert {**dict(effects(Config)), **dict(effects(RetrainSettings, "retrain."))} == expected


def test_result_settings_leave_out_the_others() -> None:
    train = TrainSettings(epochs=3, ranks=2, batch_size=8, cycle_ms=5.0)
    without, with_resumable = result_settings(train), result_settings(train, RESUMABLE)
    assert (without["batch_size"], without["model"]["name"]) == (8, "convnet")
    assert {"epochs", "ranks", "patience", "cycle_ms", "launcher"} & set(without) == set()
    added = {name: with_resumable[name] for name in set(with_resumable) - set(without)}
    assert added == {"epochs": 3, "ranks": 2, "patience": None}
    assert list(result_settings(Config().score, ROWS, METRICS)) == [
        *("split", "views", "threshold", "wanted_precision", "calibrate", "top_ks", "catalogue"),
        *("slices", "slice_catalogue"),
    ]


def test_a_setting_that_was_added_is_part_of_a_digest_unless_it_has_its_default() -> None:
    before = {"views": "none", "calibrate": False}
    assert drop_added_defaults(Config(), {"score": before, "seed": 0}) == {
        "score": {"calibrate": False},
        "seed": 0,
    }
    flipped = Config(score={"views": "flip"})
    values = {"score": {"views": "flip", "calibrate": False}}
    assert drop_added_defaults(flipped, values) == values


def test_a_section_inside_a_section_is_reduced_too() -> None:
    settings = result_settings(config_from_mapping({"preprocess": {"read_threads": 3}}, "test"))
    assert set(settings) == {"seed", "pixels", "splits", "preprocess", "train", "score"}
    assert "read_threads" not in settings["preprocess"]
    assert settings["preprocess"]["near_distance"] == 4


def test_neutral_settings_are_reset_and_others_stay() -> None:
    config = config_from_mapping(
        {
            "name": "mine",
            "spark": {"master": "local[3]"},
            "preprocess": {"read_threads": 3, "near_distance": 5},
            "train": {"cycle_ms": 5, "ranks": 2},
            "score": {"heat_maps": False, "batch_size": 7, "top_ks": [3]},
        },
        "test",
    )
    expected = {
        "preprocess": {"near_distance": 5},
        "train": {"ranks": 2},
        "score": {"top_ks": (3,)},
    }
    assert reset_neutral_settings(config).model_dump(exclude_defaults=True) == expected
    shown = reset_settings(config.score, SHOWN).model_dump(exclude_defaults=True)
    assert shown == {"batch_size": 7, "top_ks": (3,)}
