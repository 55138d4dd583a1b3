"""All families of networks by the name that a config gives them in train.model.name."""

from __future__ import annotations

from typing import Union

from halftone.config.application import Application
from halftone.config.custom import Custom
from halftone.config.model import Convnet, Mlp
from halftone.config.network import NetworkSettings
from halftone.config.residual import Residual

AnyNetwork = Union[Convnet, Mlp, Residual, Application, Custom]
FAMILIES: dict[str, type[NetworkSettings]] = {
    "convnet": Convnet,
    "mlp": Mlp,
    "residual": Residual,
    "application": Application,
    "custom": Custom,
}
