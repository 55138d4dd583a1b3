"""The settings of Halftone: types, defaults and descriptions; YAML files become frozen objects.

A YAML file holds only the settings that differ from the defaults. All mistakes in it are reported
together in one `ConfigError`, with file, key, value and valid choices, before a job starts.
"""

from halftone.config.application import Application
from halftone.config.augment import AugmentSettings
from halftone.config.base import ConfigError, ConfigSection
from halftone.config.card import CardSettings
from halftone.config.custom import Custom
from halftone.config.dataset import PixelSpec, PreprocessSettings, SplitSettings
from halftone.config.families import FAMILIES
from halftone.config.load import (
    apply_overrides,
    build_config,
    check_written_dataset,
    config_from_mapping,
    diff_settings,
    flatten_settings,
    load_config,
    overlay_settings,
    require_path,
)
from halftone.config.model import Convnet, Mlp
from halftone.config.network import NetworkSettings, OneOrPerLayer
from halftone.config.overrides import Override, collect_overrides, parse_flag, read_environment
from halftone.config.residual import Residual
from halftone.config.retrain import DriftSettings, GateSettings, RetentionSettings, RetrainSettings
from halftone.config.root import Config, Paths, SparkSettings, TrackingSettings
from halftone.config.score import ScoreSettings
from halftone.config.storage import StorageSettings
from halftone.config.suggestions import suggest_setting
from halftone.config.train import TrainSettings
from halftone.config.yaml_text import read_yaml
from halftone.config.yaml_values import fit_section

__all__ = [
    "FAMILIES",
    "Application",
    "AugmentSettings",
    "CardSettings",
    "Config",
    "ConfigError",
    "ConfigSection",
    "Convnet",
    "Custom",
    "DriftSettings",
    "GateSettings",
    "Mlp",
    "NetworkSettings",
    "OneOrPerLayer",
    "Override",
    "Paths",
    "PixelSpec",
    "PreprocessSettings",
    "Residual",
    "RetentionSettings",
    "RetrainSettings",
    "ScoreSettings",
    "SparkSettings",
    "SplitSettings",
    "StorageSettings",
    "TrackingSettings",
    "TrainSettings",
    "apply_overrides",
    "build_config",
    "check_written_dataset",
    "collect_overrides",
    "config_from_mapping",
    "diff_settings",
    "fit_section",
    "flatten_settings",
    "load_config",
    "overlay_settings",
    "parse_flag",
    "read_environment",
    "read_yaml",
    "require_path",
    "suggest_setting",
]
