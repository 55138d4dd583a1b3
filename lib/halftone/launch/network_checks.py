"""Check before the ranks start what can be known of the network: its code, weights and size."""

from __future__ import annotations

import importlib.util

from halftone import model_directory, storage
from halftone.config import Application, Config, Custom, TrainSettings, diff_settings
from halftone.config.application import NO_WEIGHTS
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError
from halftone.model_directory import ModelInfo


def with_absolute_urls(config: Config) -> Config:
    """Return the config with canonical URLs: ranks have another working directory."""
    train = config.train
    if train.start_from:
        train = train.model_copy(update={"start_from": storage.normalise_url(train.start_from)})
    if isinstance(train.model, Application) and train.model.weights != NO_WEIGHTS:
        weights = storage.normalise_url(train.model.weights)
        model = train.model.model_copy(update={"weights": weights})
        train = train.model_copy(update={"model": model})
    return config.model_copy(update={"train": train})


def check_network_settings(settings: TrainSettings, manifest: Manifest, dataset: str) -> None:
    """Raise InputError unless network, dataset and the weights to start from fit together."""
    settings.check_images(*manifest.shape())
    if isinstance(settings.model, Custom):
        _check_module(settings.model)
    if isinstance(settings.model, Application):
        _check_weights_file(settings.model)
    if settings.start_from:
        _check_start_weights(settings, manifest, dataset)


def _check_module(model: Custom) -> None:
    """Raise InputError unless the module of the user's function is there; this does not run it."""
    try:
        is_found = importlib.util.find_spec(model.module) is not None
    except ModuleNotFoundError:  # a package above it
        is_found = False
    if not is_found:
        raise InputError(
            f"train.model.build: there is no module {model.module} here; install it on all nodes, "
            "send it with --py-files, or add its folder to PYTHONPATH"
        )


def _check_weights_file(model: Application) -> None:
    """Raise InputError unless the weights file is there; rank 0 compares it with the network."""
    if model.weights != NO_WEIGHTS and not storage.exists(model.weights):
        raise InputError(
            f"train.model.weights: {model.weights} does not exist; give the path or URL of the "
            f"*_notop.h5 of {model.architecture}, or none"
        )


def _check_start_weights(settings: TrainSettings, manifest: Manifest, dataset: str) -> None:
    """Raise InputError unless the weights of `start_from` fit the network of `settings`.

    The classes may differ: then the output layer is new.
    """
    url = str(settings.start_from)
    info = model_directory.read_model_info(url)
    model_directory.check_pixels_fit(info, manifest, url, dataset)
    model_directory.check_network(url, info)
    there, here = (
        {**train.model.model_dump(exclude={"weights"}), "normalise": train.normalise}
        for train in (info.config.train, settings)
    )
    changes = [f"{key} {old!r} there, {new!r} here" for key, old, new in diff_settings(there, here)]
    if changes:
        raise InputError(
            f"train.start_from: the network at {url} differs: {'; '.join(changes)}. Use its "
            "train.model and train.normalise, or leave start_from out"
        )
    _check_number_of_frozen_layers(settings, url, info)


def _check_number_of_frozen_layers(settings: TrainSettings, url: str, info: ModelInfo) -> None:
    """Raise InputError if more layers are to be frozen than the body of `start_from` has.

    Ranks check it for the weights file of an application and for networks of the user's own.
    """
    if not isinstance(settings.freeze, int) or isinstance(settings.model, Custom):
        return
    num_layers = model_directory.count_layers_with_weights(url, info) - 1  # the output layer
    if isinstance(settings.model, Application):
        num_layers -= len(settings.model.head.dense)
    if settings.freeze > num_layers:
        raise InputError(settings.too_few_layers_message(num_layers))
