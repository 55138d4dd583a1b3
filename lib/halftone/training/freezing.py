"""Which layers are trained in an epoch: fine-tuning in one or two phases.

The output layer of a pretrained network is new, and its first gradients are large: with the other
layers frozen it learns first, and a small learning rate then trains all of them ("How transferable
are features in deep neural networks?", Yosinski et al., 2014, section 4.1; Keras' guide "Transfer
learning and fine-tuning").
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from halftone.config import Application, TrainSettings
from halftone.errors import InputError
from halftone.models import application, layer_weights
from halftone.training.distributed_model import DistributedModel


class Phase(NamedTuple):
    """Epochs in which the same layers are trained, by one optimizer."""

    epochs_before: int
    is_frozen: bool
    # As if the phase were a training of its own: with its number of epochs and its learning rate.
    settings: TrainSettings


def phase_after(settings: TrainSettings, num_epochs: int) -> Phase:
    """Return the phase of the epoch that follows the first `num_epochs` ones.

    The second phase has no warm-up: its learning rate is small, and what it trains has been
    trained before. `decay` applies to each phase by itself; epochs of `decay_epochs` count from the
    beginning of the training.
    """
    after = settings.unfreeze_after_epochs
    if after is None:
        return Phase(0, settings.freeze != "none", settings)
    if num_epochs < after:
        earlier = tuple(epoch for epoch in settings.decay_epochs if epoch < after)
        return Phase(
            0, True, settings.model_copy(update={"epochs": after, "decay_epochs": earlier})
        )
    changes = {
        "epochs": settings.epochs - after,
        "learning_rate": settings.unfreeze_learning_rate,
        "warmup_epochs": 0,
        "decay_epochs": tuple(epoch - after for epoch in settings.decay_epochs if epoch > after),
    }
    return Phase(after, False, settings.model_copy(update=changes))


def frozen_layers(network: tf.keras.Model, settings: TrainSettings) -> list[tf.keras.layers.Layer]:
    """Return the layers that `train.freeze` names, in the order of the network.

    Raises:
        InputError: there are fewer.
    """
    if settings.freeze == "none":
        return []
    if isinstance(settings.model, Application):
        body = layer_weights.layers_with_weights(application.find_backbone(network))
    else:
        body = layer_weights.layers_with_weights(network)[:-1]  # without the output layer
    if settings.freeze == "all":
        return body
    if settings.freeze > len(body):
        raise InputError(settings.too_few_layers_message(len(body)))
    return body[: settings.freeze]


def describe_phase(model: DistributedModel, settings: TrainSettings, phase: Phase) -> str:
    """Say which layers are trained from the first epoch of a phase on; "" if it is always all."""
    if settings.freeze == "none":
        return ""
    parameters = f"{model.num_trainable_parameters:,} of {model.num_parameters:,} parameters"
    if phase.is_frozen:
        num_layers = len(frozen_layers(model, settings))
        until = (
            f" until epoch {settings.unfreeze_after_epochs}"
            if settings.unfreeze_after_epochs
            else ""
        )
        return (
            f"{num_layers} layers are frozen{until} (train.freeze {settings.freeze}): {parameters} "
            "are trained"
        )
    return (
        f"from epoch {phase.epochs_before + 1} on all layers are trained, {parameters}, with a new "
        f"optimizer and a learning rate of {phase.settings.learning_rate:g}"
    )
