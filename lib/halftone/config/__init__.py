"""Every setting of Halftone, typed and documented once: YAML in, frozen objects out.

A YAML file states only what differs from the defaults. All mistakes in it are reported together
in one `ConfigError`, which names file, key, value and the valid choices, before any work starts.
"""

from halftone.config.base import ConfigError, Section
from halftone.config.dataset import Pixels, Preprocess, Splits
from halftone.config.load import differing, flat, from_mapping, load, read_yaml, required
from halftone.config.model import Convnet, Mlp, OneOrEach
from halftone.config.retrain import Drift, Gate, Keep, Retrain
from halftone.config.root import Config, Paths, Spark, Tracking
from halftone.config.score import Score
from halftone.config.storage import Storage
from halftone.config.train import Augment, Train

__all__ = [
    "Augment",
    "Config",
    "ConfigError",
    "Convnet",
    "Drift",
    "Gate",
    "Keep",
    "Mlp",
    "OneOrEach",
    "Paths",
    "Pixels",
    "Preprocess",
    "Retrain",
    "Score",
    "Section",
    "Spark",
    "Splits",
    "Storage",
    "Tracking",
    "Train",
    "differing",
    "flat",
    "from_mapping",
    "load",
    "read_yaml",
    "required",
]
