"""Weights of classes: their values, and that the weighted loss is exact over ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Union

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

from example_manifest import example
from halftone.config import PixelSpec, TrainSettings
from halftone.dataset.manifest import Manifest, read_manifest, read_shards
from halftone.errors import InputError
from halftone.feed import epoch_plan, rank_batches
from halftone.feed.pipeline import CachedSource, StreamedSource
from halftone.feed.world import World
from halftone.training import class_balance
from halftone.training.distributed_model import DistributedModel

SHAPE = (16, 16, 1)
PIXELS = PixelSpec(height_px=16, width_px=16)
WEIGHTS = (10.0, 0.5)


def manifest_of(**train_counts: int) -> Manifest:
    labels = list(train_counts)
    return example().model_copy(update={"labels": labels, "counts": {"train": train_counts}})


def weights_of(setting: Any, manifest: Manifest) -> Any:
    return class_balance.class_weights(TrainSettings(class_weights=setting), manifest)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    weights = weights_of("balanced", manifest_of(cat=1, dog=2, owl=9))
    assert weights == pytest.approx([4.0, 2.0, 4 / 9])
    labels = np.repeat([0, 1, 2], [1, 2, 9])
    assert weights == pytest.approx(
        compute_class_weight("balanced", classes=np.arange(3), y=labels).tolist()
    )


def test_given_weights_are_1_for_other_labels() -> None:
    assert weights_of({"dog": 2.5}, manifest_of(cat=1, dog=2)) == [1.0, 2.5]
    assert weights_of("none", manifest_of(cat=1, dog=0)) is None


def test_class_without_rows_cannot_be_balanced() -> None:
    with pytest.raises(InputError) as caught:
        weights_of("balanced", manifest_of(cat=1, dog=0, owl=0))
    assert str(caught.value) == (
        "train.class_weights balanced needs rows of each class, and the train split has none of "
        "dog, owl (2 of 3 classes); preprocess more images of them, or use train.class_weights none"
    )


def test_class_without_rows_cannot_be_drawn() -> None:
    manifest = manifest_of(cat=1, dog=0)
    class_balance.check_sampling(TrainSettings(), manifest)
    with pytest.raises(InputError) as caught:
        class_balance.check_sampling(TrainSettings(sampling="balanced"), manifest)
    assert str(caught.value) == (
        "train.sampling balanced needs rows of each class, and the train split has none of dog "
        "(1 of 2 classes); preprocess more images of them, or use train.sampling natural"
    )


def test_unknown_label_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        weights_of({"cow": 2.0, "cat": 1.0}, manifest_of(cat=1, dog=1))
    assert str(caught.value) == (
        "train.class_weights names cow; the dataset has cat, dog. Leave them out, or correct "
        "their names"
    )


def test_note_names_the_weights() -> None:
    manifest = manifest_of(cat=1, dog=3)
    assert class_balance.balance_notes(TrainSettings(), manifest) == []
    settings = TrainSettings(class_weights="balanced")
    assert class_balance.balance_notes(settings, manifest) == [
        "a row weighs in the loss by its class: cat 2, dog 0.6667 (train.class_weights); all "
        "losses and metrics that are reported are unweighted"
    ]


def small_model(**settings: Any) -> DistributedModel:
    pixels = tf.keras.Input(SHAPE, dtype="uint8")
    x = tf.keras.layers.Rescaling(1 / 255)(pixels)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    layer = tf.keras.layers.Dense(1, activation="sigmoid")
    model = DistributedModel(pixels, layer(x))
    train = TrainSettings(optimizer="sgd", learning_rate=1.0, **settings)
    model.compile_for_training(train, 2, steps_per_epoch=1, class_weights=WEIGHTS)
    layer.set_weights([np.array([[0.5]], np.float32), np.array([-0.3], np.float32)])
    model.reset_steps(0)
    return model


def weighted_gradient(means: np.ndarray, labels: np.ndarray, batch_size: int) -> tuple[float, Any]:
    """Sum of the weighted losses / batch size, and its gradient by weight and bias, in float64."""
    probabilities = 1 / (1 + np.exp(-(0.5 * means - 0.3)))
    weights = np.where(labels == 1, WEIGHTS[1], WEIGHTS[0])
    losses = -np.log(np.where(labels == 1, probabilities, 1 - probabilities))
    slope = weights * (probabilities - labels)
    return (weights * losses).sum() / batch_size, [
        (slope * means).sum() / batch_size,
        slope.sum() / batch_size,
    ]


@pytest.mark.parametrize("source_type", [CachedSource, StreamedSource])
def test_weighted_loss_and_gradient_are_exact_over_ranks(
    prepared_dataset: Path, source_type: type[Union[CachedSource, StreamedSource]]
) -> None:
    hvd.init()
    dataset, batch_size = str(prepared_dataset), 78  # of 77 rows: a single step
    shards = read_shards(dataset, read_manifest(dataset), "train")
    rows = epoch_plan.partition_shards(shards, 1, batch_size).rank_slices[0]
    parts = [
        (part.pixels(), labels) for part, labels in rank_batches.read_slices(dataset, PIXELS, rows)
    ]
    images, labels = map(np.concatenate, zip(*parts))
    loss, gradient = weighted_gradient(images.mean(axis=(1, 2, 3)) / 255, labels, batch_size)
    for num_ranks in (1, 2, 3):
        plan = epoch_plan.plan_epoch(shards, num_ranks, batch_size, seed=7, epoch=1)
        assert plan.steps == 1
        rank_losses, rank_updates, cross_entropies, counts = [], [], [], []
        for rank in range(num_ranks):
            model = small_model()
            last = plan if source_type is CachedSource else plan.rank_batch_size
            source = source_type(dataset, PIXELS, World(rank, num_ranks), last)
            before = model.get_weights()
            batches = source.epoch_dataset(plan, f"7:1:{rank}")
            model.fit(batches, steps_per_epoch=1, verbose=0)
            step_loss, cross_entropy, _ = model.metrics
            rank_losses.append(float(step_loss.result()))
            rank_updates.append([(b - a).item() for b, a in zip(before, model.get_weights())])
            cross_entropies.append(float(cross_entropy.total))
            counts.append(float(cross_entropy.count))
        # Horovod averages over the ranks.
        assert np.mean(rank_losses) == pytest.approx(loss, abs=1e-6)
        np.testing.assert_allclose(np.mean(rank_updates, axis=0), gradient, atol=1e-6)
        # The metric is unweighted.
        assert sum(counts) == 77
        unweighted = -np.log(
            1
            / (
                1
                + np.exp(np.where(labels == 1, -1, 1) * (0.5 * images.mean((1, 2, 3)) / 255 - 0.3))
            )
        )
        assert sum(cross_entropies) == pytest.approx(unweighted.sum(), rel=1e-6)


def test_aggregated_steps_are_weighted_alike() -> None:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 255, (8, *SHAPE)).astype(np.uint8)
    labels = np.array([[0], [1], [1], [1], [1], [0], [1], [1]], np.int32)
    at_once, in_two = small_model(), small_model(aggregate_steps=2)
    in_two._steps_per_epoch = 2
    for model, size in ((at_once, 8), (in_two, 4)):
        model.fit(
            images, labels, sample_weight=np.ones(8), batch_size=size, shuffle=False, verbose=0
        )
    for actual, expected in zip(in_two.get_weights(), at_once.get_weights()):
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_three_classes_have_their_weights() -> None:
    inputs = tf.keras.Input((2,))
    layer = tf.keras.layers.Dense(3, activation="softmax", kernel_initializer="zeros")
    model = DistributedModel(inputs, layer(inputs))
    settings = TrainSettings(optimizer="sgd", learning_rate=1.0, label_smoothing=0.3)
    model.compile_for_training(settings, 3, steps_per_epoch=1, class_weights=(1.0, 2.0, 6.0))
    model.reset_steps(0)
    data = np.zeros((3, 2), np.float32), np.array([[0], [1], [2]], np.int32)
    model.fit(*data, sample_weight=np.ones(3), batch_size=3, verbose=0)
    # The bias of a class moves by the mean of weight x (target - 1/3).
    targets = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    expected = ((targets - 1 / 3) * [[1], [2], [6]]).mean(axis=0)
    np.testing.assert_allclose(model.get_weights()[1], expected, atol=1e-6)
