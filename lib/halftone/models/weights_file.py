"""Read a weights file of Keras in its HDF5 format, as keras.applications publishes them."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from halftone import storage
from halftone.errors import InputError


class LayerArrays(NamedTuple):
    """The weights of one layer in a file."""

    name: str
    arrays: list[npt.NDArray[Any]]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [array.shape for array in self.arrays]


def read_layers(url: str) -> list[LayerArrays]:
    """Read the layers that have weights, in the order of the file.

    Raises:
        InputError: there is no such file, or it has another format.
    """
    try:
        with h5py.File(io.BytesIO(storage.read_bytes(url)), "r") as file:
            root = file.get("model_weights", file)  # of a whole model, or of its weights alone
            names = _read_names(root, "layer_names")
            if not names:
                raise InputError(
                    f"{url} has no attribute layer_names, so it is not a weights file of Keras' "
                    "HDF5 format; write one with save_weights(path, save_format='h5')"
                )
            layers = [_read_layer(root, name) for name in names]
    except FileNotFoundError:
        raise InputError(f"{url} does not exist; give another path or URL") from None
    except (OSError, KeyError) as error:
        raise InputError(f"{url} is no HDF5 file, or damaged ({error}); fetch it again") from None
    return [layer for layer in layers if layer.arrays]


def _read_layer(root: h5py.Group, name: str) -> LayerArrays:
    group = root[name]
    return LayerArrays(
        name, [np.asarray(group[weight]) for weight in _read_names(group, "weight_names")]
    )


def _read_names(group: h5py.Group, attribute: str) -> list[str]:
    """Read a list of names. Keras cuts one that is longer than 64 KiB into numbered attributes."""
    values: list[Any] = list(group.attrs.get(attribute, []))
    chunk = 0
    while f"{attribute}{chunk}" in group.attrs:
        values += list(group.attrs[f"{attribute}{chunk}"])
        chunk += 1
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
