"""Every setting of Halftone, typed and documented once: YAML in, frozen objects out.

A YAML file states only what differs from the defaults below. Whatever is wrong with it is said
in one `ConfigError` that names file, key, value and what is valid, before any work starts.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypeVar, Union

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from halftone.errors import InputError

# fmt: off
_SUFFIXES = (
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "tif", "tiff", "gif",
    "pbm", "pgm", "ppm", "pnm",
)
# fmt: on


class ConfigError(InputError):
    """A setting is unknown, of the wrong type, out of range, or missing where it is needed."""


class Section(BaseModel):
    """A frozen group of settings in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Paths(Section):
    """Where things are: local paths or URLs (s3://, gs://, abfs://, hdfs://). Flags override."""

    images: Optional[str] = Field(None, description="folder of raw images, read recursively")
    dataset: Optional[str] = Field(None, description="written by preprocess, read by train, score")
    model: Optional[str] = Field(None, description="written by train, read by score")
    scores: Optional[str] = Field(None, description="predictions, metrics and report")
    new_images: Optional[str] = Field(None, description="raw images that score is to take instead")
    baseline: Optional[str] = Field(None, description="earlier scores, for score to compare with")


class Pixels(Section):
    """What becomes of an image. The same values serve training and scoring."""

    height_px: int = Field(64, ge=1, le=8192)
    width_px: int = Field(64, ge=1, le=8192)
    channels: Literal[1, 3] = Field(1, description="1: grey (ITU-R 601 luma), 3: colour (RGB)")
    fit: Literal["stretch", "crop", "pad"] = Field("stretch", description="how an aspect is met")
    background: int = Field(0, ge=0, le=255, description="grey level behind alpha and padding")
    max_pixels: int = Field(100_000_000, ge=1, description="a header that claims more is rejected")
    max_scans: int = Field(100, ge=1, description="a progressive JPEG with more is rejected")
    min_side_px: int = Field(1, ge=1, description="an image with a shorter side is rejected")


class Splits(Section):
    """Which split an image goes to: a pure function of its path and the seed."""

    validation_fraction: float = Field(0.1, ge=0.0, lt=1.0)
    test_fraction: float = Field(0.1, ge=0.0, lt=1.0)
    folds: Optional[int] = Field(
        None, ge=2, le=100, description="for cross-validation: what is not test is cut into folds"
    )
    fold: int = Field(0, ge=0, description="the one of the folds, from 0, that is validation")
    from_path: Optional[str] = Field(
        None,
        description="regular expression on the path below paths.images whose one group names the "
        "split that the data brings (train, validation, test); where the data brings no "
        "validation, validation_fraction of its train becomes one",
    )
    group_by: Optional[str] = Field(
        None,
        description="regular expression whose one group names what must stay on one side of a "
        "split, such as a person or a pair; default: every image for itself",
    )

    @model_validator(mode="after")
    def _leaves_a_train_split(self) -> Splits:
        held_out = self.validation_fraction + self.test_fraction
        if held_out >= 1:
            raise ValueError(
                f"validation_fraction {self.validation_fraction} + test_fraction "
                f"{self.test_fraction} = {held_out:g} leaves nothing to train on; "
                "their sum must be below 1"
            )
        if self.fold >= (self.folds or 1):
            raise ValueError(
                f"fold {self.fold} is not one of {self.folds or 0} folds; they count from 0"
            )
        return self

    @field_validator("from_path", "group_by")
    @classmethod
    def _has_one_group(cls, pattern: Optional[str]) -> Optional[str]:
        return None if pattern is None else _one_group(pattern)


class Preprocess(Section):
    """Raw images to dataset."""

    label_from: str = Field(
        r"([^/]+)/[^/]+$",
        description="regular expression on the path below paths.images whose one group is the "
        "label; default: the name of the folder that holds the image",
    )
    catalogue: Optional[str] = Field(
        None,
        description="Parquet or CSV file that names the images in a column path, below "
        "paths.images, instead of a listing of the folder; further columns may be label, group, "
        "split, size_bytes, modified",
    )
    suffixes: tuple[str, ...] = Field(
        _SUFFIXES,
        description="files with another ending are left alone, and counted as ignored",
    )
    max_reject_fraction: float = Field(
        0.05, ge=0.0, le=1.0, description="above it the job stops before anything is published"
    )
    rows_per_shard: Union[Literal["auto"], int] = Field(
        "auto", description="auto: 16 MiB of pixels a shard, less where that makes too few shards"
    )
    near_duplicates: Literal["off", "report", "drop"] = Field(
        "report",
        description="images that look nearly the same as one of an earlier split (train, "
        "validation, test): drop takes them out of the later split",
    )
    near_distance: int = Field(
        4, ge=0, le=16, description="bits of a 64-bit perceptual hash that may differ"
    )
    min_shards: int = Field(
        8, ge=1, le=100_000, description="auto: a split has this many shards where its rows allow"
    )
    read_threads: int = Field(8, ge=1, le=256, description="chunks read ahead, in each task")

    @field_validator("label_from")
    @classmethod
    def _has_one_group(cls, pattern: str) -> str:
        return _one_group(pattern)

    @field_validator("rows_per_shard")
    @classmethod
    def _is_positive(cls, rows: Union[str, int]) -> Union[str, int]:
        if isinstance(rows, int) and rows < 1:
            raise ValueError("must be auto or a whole number from 1")
        return rows


_Value = TypeVar("_Value")
_Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


def _listed(given: Any) -> Any:
    return tuple(given) if isinstance(given, (list, tuple)) else (given,)


def _as_written(values: tuple[_Value, ...]) -> Union[_Value, list[_Value]]:
    return values[0] if len(values) == 1 else list(values)


# One value for all layers, which YAML and JSON write alone, or a list of one a layer.
OneOrEach = Annotated[
    tuple[_Value, ...],
    BeforeValidator(_listed),
    PlainSerializer(_as_written, when_used="json"),
    Field(min_length=1),
]


class _Window(NamedTuple):
    """What a convolution or a pooling slides over a feature map."""

    layer: str
    side_px: int
    stride_px: int
    padding: str
    cure: str

    def side_after_px(self, side_px: int) -> int:
        """A feature map's side after this layer; 0 where the window does not fit."""
        if self.padding == "same":
            return -(-side_px // self.stride_px)
        return max(0, (side_px - self.side_px) // self.stride_px + 1)


class Convnet(Section):
    """Convolutions, with 2x2 pooling after each unless told, then dense layers."""

    name: Literal["convnet"] = "convnet"
    filters: tuple[PositiveInt, ...] = Field((32, 32), min_length=1)
    kernels_px: tuple[PositiveInt, ...] = Field(
        (3,), min_length=1, description="one, or one a convolution"
    )
    strides_px: tuple[PositiveInt, ...] = Field(
        (1,), min_length=1, description="one, or one a convolution"
    )
    padding: Literal["same", "valid"] = "valid"
    pooling: Literal["max", "average"] = "max"
    pool_after: Optional[tuple[PositiveInt, ...]] = Field(
        None, description="numbers of the convolutions, from 1, with pooling; default: all"
    )
    pool_padding: Literal["same", "valid"] = Field(
        "valid", description="same: an odd side is rounded up, valid: down"
    )
    activation: OneOrEach[Literal["relu", "leaky_relu", "none"]] = Field(
        ("relu",), description="one, or one a layer: of all convolutions, then of all dense layers"
    )
    leaky_slope: float = Field(0.3, ge=0.0, lt=1.0, description="leaky_relu, of negative values")
    batch_norm: bool = Field(False, description="after every convolution, ahead of its pooling")
    batch_norm_before_activation: bool = Field(
        False, description="batch_norm stands before the activation, not after it"
    )
    batch_norm_momentum: float = Field(
        0.99,
        ge=0.0,
        lt=1.0,
        description="how much a batch leaves of the running mean and deviation; where a training "
        "has fewer than some 500 steps take 0.9, or it ends before these follow",
    )
    conv_dropout: _Fraction = Field(0.0, description="after every pooling")
    global_average: bool = Field(
        False, description="the dense layers get each feature map's mean, not all of its values"
    )
    dense: tuple[PositiveInt, ...] = (128,)
    dense_dropout: OneOrEach[_Fraction] = Field(
        (0.0,), description="after every dense layer: one, or one a layer"
    )

    @model_validator(mode="after")
    def _values_match_layers(self) -> Convnet:
        convolutions, dense = len(self.filters), len(self.dense)
        _check_count("kernels_px", self.kernels_px, convolutions, "filters")
        _check_count("strides_px", self.strides_px, convolutions, "filters")
        _check_count("activation", self.activation, convolutions + dense, "layers")
        _check_count("dense_dropout", self.dense_dropout, dense, "dense layers")
        return self

    @model_validator(mode="after")
    def _pools_match_convolutions(self) -> Convnet:
        if self.pool_after is None:
            return self
        convolutions, named = len(self.filters), list(self.pool_after)
        if named != sorted({*named} & {*range(1, convolutions + 1)}):
            raise ValueError(
                f"pool_after {named} must name convolutions from 1 to {convolutions}, each once "
                "and in order"
            )
        if self.conv_dropout and not named:
            raise ValueError(
                f"conv_dropout {self.conv_dropout:g} stands after poolings, and pool_after [] "
                "leaves none; use conv_dropout 0, or name convolutions in pool_after"
            )
        return self

    def side_after_px(self, side_px: int) -> int:
        """How much of an image's side is left after all convolutions and poolings; 0 if nothing."""
        for window in self._windows():
            side_px = window.side_after_px(side_px)
        return side_px

    def check_images(self, height_px: int, width_px: int) -> None:
        """Raise ConfigError where nothing of such images would be left after a layer."""
        for side, side_px in (("height", height_px), ("width", width_px)):
            left_px = side_px
            for window in self._windows():
                given_px, left_px = left_px, window.side_after_px(left_px)
                if left_px < 1:
                    raise ConfigError(
                        f"images of {side} {side_px} px are too small for train.model: "
                        f"{window.layer} needs {window.side_px} px and gets {given_px}; use "
                        f"{window.cure} or fewer filters, or preprocess to a larger size"
                    )

    def _windows(self) -> Iterator[_Window]:
        sides = zip(self.filters, cycle(self.kernels_px), cycle(self.strides_px))
        for number, (_, kernel_px, stride_px) in enumerate(sides, 1):
            layer = f"convolution {number}"
            yield _Window(
                layer, kernel_px, stride_px, self.padding, "padding same, a smaller kernel"
            )
            if self.pool_after is None or number in self.pool_after:
                cure = "pool_padding same, a shorter pool_after"
                yield _Window(f"the pooling after {layer}", 2, 2, self.pool_padding, cure)


class Mlp(Section):
    """Dense layers on the flattened pixels; without hidden layers, logistic regression."""

    name: Literal["mlp"] = "mlp"
    hidden: tuple[PositiveInt, ...] = (200, 60)
    dropout: OneOrEach[_Fraction] = Field(
        (0.0,), description="after every hidden layer: one, or one a layer"
    )

    @model_validator(mode="after")
    def _values_match_layers(self) -> Mlp:
        _check_count("dropout", self.dropout, len(self.hidden), "hidden layers")
        return self


def _check_count(name: str, values: Sequence[Any], count: int, layers: str) -> None:
    if len(values) not in (1, count):
        cures = " or ".join(str(number) for number in sorted({1, count} - {0}))
        raise ValueError(f"{name} has {len(values)} values for {count} {layers}; give {cures}")


class Augment(Section):
    """Random changes of each image of a step, in training only; none unless asked."""

    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    shift_fraction: float = Field(
        0.0, ge=0.0, le=0.5, description="of each side, either way, by whole pixels"
    )
    rotate_degrees: float = Field(0.0, ge=0.0, le=180.0, description="either way")
    zoom_fraction: float = Field(
        0.0, ge=0.0, le=0.9, description="in or out, of the side that is seen"
    )
    brightness_fraction: float = Field(0.0, ge=0.0, le=1.0, description="of the whole range")
    contrast_fraction: float = Field(0.0, ge=0.0, le=1.0, description="more or less")


class Train(Section):
    """Dataset to model."""

    model: Union[Convnet, Mlp] = Field(Convnet(), discriminator="name")
    normalise: Literal["0..1", "-0.5..0.5", "standard"] = Field(
        "0..1",
        description="by the model's first layer; standard: mean 0 and deviation 1, by channel, "
        "over the train split",
    )
    augment: Augment = Augment()
    cache: Literal["auto", "memory", "none"] = Field(
        "auto",
        description="memory: a rank keeps its part of the train split and shuffles it whole; none: "
        "it reads its part from storage at each epoch, and ranks exchange parts; auto: memory "
        "where the parts of a machine's ranks fit into a quarter of its memory",
    )
    shuffle: bool = Field(
        True,
        description="every epoch has an order of its own; false: all have one, which is that of "
        "the dataset, a hash's",
    )
    epochs: int = Field(10, ge=1)
    batch_size: int = Field(64, ge=1, description="rows a step over all ranks together")
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0.0)
    momentum: float = Field(0.0, ge=0.0, lt=1.0, description="sgd only")
    scale_learning_rate: bool = Field(False, description="times the number of ranks")
    warmup_epochs: int = Field(
        0, ge=0, description="the learning rate rises to its value over so many epochs"
    )
    decay: Literal["none", "cosine"] = Field(
        "none",
        description="cosine: after the warm-up the learning rate falls to 0 at the last epoch's "
        "end, as half a cosine",
    )
    weight_decay: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="a step takes this times the learning rate off kernels, not off biases",
    )
    clip_norm: Optional[float] = Field(
        None, gt=0.0, description="gradients are scaled down to this global norm"
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32", description="of the layers' arithmetic; weights stay float32"
    )
    compression: Literal["none", "fp16"] = Field(
        "none", description="of the gradients that ranks send each other"
    )
    aggregate_steps: int = Field(
        1, ge=1, description="steps whose gradients a rank adds up before ranks exchange them"
    )
    cycle_ms: float = Field(
        1.0,
        gt=0.0,
        le=1000.0,
        description="ranks ask each other so often for gradients to exchange; Horovod's cycle time",
    )
    start_from: Optional[str] = Field(
        None, description="a model of the same network and classes, whose weights are the first"
    )
    patience: Optional[int] = Field(
        None, ge=1, description="stop after so many epochs without a better validation loss"
    )
    ranks: int = Field(1, ge=1, description="Horovod ranks")
    launcher: Literal["auto", "process", "horovodrun", "spark"] = Field(
        "auto",
        description="auto: this process for 1 rank, Spark executors on a cluster, else horovodrun",
    )
    hosts: Optional[str] = Field(
        None,
        pattern=r"^[^:,\s]+:[1-9]\d*(,[^:,\s]+:[1-9]\d*)*$",
        description="horovodrun: HOST:SLOTS,HOST:SLOTS; default: this machine",
    )
    network_interface: Optional[str] = Field(
        None, description="over which ranks reach each other; default: found"
    )
    max_restarts: int = Field(
        2, ge=0, description="how often ranks that died are started again from the last checkpoint"
    )
    keep_checkpoints: int = Field(2, ge=1, description="newest ones, besides the best")

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Train:
        if self.batch_size % self.ranks:
            below = self.batch_size // self.ranks * self.ranks
            cures = " or ".join(str(size) for size in (below, below + self.ranks) if size)
            raise ValueError(
                f"batch_size {self.batch_size} does not divide among {self.ranks} ranks; "
                f"use {cures}"
            )
        if self.decay == "cosine" and self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} of {self.epochs} epochs leave none for decay "
                "cosine; use fewer"
            )
        if self.launcher == "process" and self.ranks > 1:
            raise ValueError(
                f"launcher process runs 1 rank, ranks is {self.ranks}; "
                "use launcher auto, horovodrun or spark"
            )
        return self


class Score(Section):
    """Model and dataset to predictions, metrics and a report."""

    split: Literal["train", "validation", "test"] = "test"
    batch_size: int = Field(256, ge=1)
    threshold: Union[float, Literal["best_f1", "precision"]] = Field(
        0.5,
        description="two classes: the probability from which it is the second; best_f1, precision: "
        "the one that does so on the validation split",
    )
    wanted_precision: Optional[float] = Field(
        None, gt=0.0, le=1.0, description="threshold precision: of the second class, at least"
    )
    calibrate: bool = Field(
        False, description="scale probabilities by a temperature found on the validation split"
    )
    top_ks: tuple[PositiveInt, ...] = Field(
        (2, 5), description="more classes: shares of rows whose label is among the k most probable"
    )
    only_new: bool = Field(
        False, description="keep the predictions of what the same model has scored before"
    )
    catalogue: Optional[str] = Field(
        None, description="CSV or Parquet file with a column path, and maybe label: raw images"
    )

    @field_validator("threshold")
    @classmethod
    def _is_probability(cls, threshold: Union[float, str]) -> Union[float, str]:
        if isinstance(threshold, float) and not 0 < threshold < 1:
            raise ValueError("must be between 0 and 1, best_f1 or precision")
        return threshold

    @model_validator(mode="after")
    def _precision_is_wanted(self) -> Score:
        if (self.threshold == "precision") != (self.wanted_precision is not None):
            raise ValueError("threshold precision and wanted_precision go together; give both")
        return self


class Spark(Section):
    """How Spark is started where no session is given (spark-submit's own settings win)."""

    master: Optional[str] = Field(None, description="default: all cores of this machine")
    conf: dict[str, str] = Field(default_factory=dict, description="any spark.* setting")


class Tracking(Section):
    """Where MLflow keeps parameters, metrics and models of trainings."""

    enabled: bool = True
    uri: Optional[str] = Field(
        None, description="default: MLFLOW_TRACKING_URI, else mlflow.db in the working directory"
    )
    experiment: Optional[str] = Field(None, description="default: the config's name")


class Gate(Section):
    """When a challenger becomes champion: both are judged on the same rows of `score.split`."""

    measure: Literal["accuracy", "f1"] = Field(
        "accuracy", description="by which the better one is told; f1 as metrics.json has it"
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1.0, description="that a difference is no chance (two-sided, paired)"
    )
    max_class_drop: float = Field(
        0.05, ge=0.0, le=1.0, description="by which the recall of no class may fall"
    )
    floor: float = Field(
        0.0, ge=0.0, le=1.0, description="of the measure: what is below it is never promoted"
    )


class Drift(Section):
    """How much images may differ from those before, by population stability index (PSI)."""

    warn: float = Field(0.1, gt=0.0, description="from which PSI on it is said")
    stop: float = Field(0.25, gt=0.0, description="from which PSI on nothing is trained")
    confidence: float = Field(
        0.999, gt=0.5, lt=1.0, description="that so large a PSI of so few images is no chance"
    )

    @model_validator(mode="after")
    def _warns_first(self) -> Drift:
        if self.stop < self.warn:
            raise ValueError(f"stop {self.stop:g} is below warn {self.warn:g}; warn comes first")
        return self


class Keep(Section):
    """What is left of earlier nights. What the champion needs stays in any case."""

    nights: int = Field(10, ge=1, description="newest ones whose model and scores are kept")
    datasets: int = Field(3, ge=1, description="newest ones that are kept")
    days: float = Field(30.0, ge=0.0, description="what is younger is kept too")


class Retrain(Section):
    """Scheduled retraining: new images to a better champion."""

    folder: Optional[str] = Field(
        None, description="nights, kept datasets, history and the lock; local path or URL"
    )
    registered_model: Optional[str] = Field(
        None,
        pattern=r"^[^/:@]+$",
        description="its name in MLflow, CATALOG.SCHEMA.NAME in Unity Catalog; default: name",
    )
    start: Literal["champion", "scratch"] = Field(
        "champion", description="first weights: the champion's, where its network is the same"
    )
    prune: bool = Field(False, description="forget images that are no longer there")
    gate: Gate = Gate()
    drift: Drift = Drift()
    keep: Keep = Keep()
    lock_secs: float = Field(
        600.0, ge=1.0, description="after so long without a sign of life an owner counts as dead"
    )
    max_attempts: int = Field(
        5,
        ge=1,
        description="calls that a step may take, failed or killed, before a night is closed",
    )
    fail_on_refusal: bool = Field(
        False, description="exit code 3, not 0, where gate or drift refuse"
    )
    webhook: Optional[str] = Field(
        None,
        pattern=r"^(https?://.+|\$[A-Za-z_][A-Za-z0-9_]*)$",
        description="URL to which the outcome is sent as JSON; $NAME: the environment's variable",
    )
    outcome_file: Optional[str] = Field(
        None, description="file or URL that the outcome is written to as JSON"
    )


# Names of options that hold what nobody may read, at any depth; and texts that do.
_CREDENTIAL = re.compile(
    r"(^|[._])(key|secret|token|pass(word|wd)?|username|credentials?|sas|connection_string)([._]|$)"
    r"|access_?key|ssecustomerkey",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(r"://[^/@]*:[^/@]*@|AccountKey=|SharedAccessSignature=|[?&]sig=")
_CHAINS = {
    "s3": "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), a profile (AWS_PROFILE) or "
    "the machine's role",
    "gs": "the environment (GOOGLE_APPLICATION_CREDENTIALS), gcloud's login or the machine's "
    "service account",
    "abfs": "the environment (AZURE_STORAGE_ACCOUNT_KEY, AZURE_CLIENT_SECRET and their like) or "
    "the machine's identity",
}


class Storage(Section):
    """How stores behind URLs are reached. No credentials: they come by the stores' own ways."""

    options: dict[Literal["s3", "gs", "abfs", "hdfs", "webhdfs"], dict[str, Any]] = Field(
        default_factory=dict,
        description="by protocol, what fsspec's client takes, such as s3: {endpoint_url: ...}",
    )

    @model_validator(mode="after")
    def _holds_no_credentials(self) -> Storage:
        for protocol, options in self.options.items():
            for key, value in _leaves(options):
                if _CREDENTIAL.search(key) or _SECRET_TEXT.search(str(value)):
                    chain = _CHAINS.get(protocol, "the environment of its own client")
                    raise ValueError(
                        f"options.{protocol}.{key} holds a credential, which would be in all that "
                        f"is written; take it out, and give it by {chain}"
                    )
        return self


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All values inside of dicts and lists, by their dotted keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        name = f"{prefix}{key}"
        if isinstance(inner, (dict, list)) and not _CREDENTIAL.search(name.rpartition(".")[2]):
            yield from _leaves(inner, f"{name}.")
        else:
            yield name, inner


class Config(Section):
    """One run, whole."""

    name: str = Field("halftone", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(0, ge=0, lt=2**31)
    paths: Paths = Paths()
    pixels: Pixels = Pixels()
    splits: Splits = Splits()
    preprocess: Preprocess = Preprocess()
    train: Train = Train()
    score: Score = Score()
    tracking: Tracking = Tracking()
    retrain: Retrain = Retrain()
    storage: Storage = Storage()
    spark: Spark = Spark()


def load(
    path: str, overrides: Sequence[str] = (), paths: Mapping[str, Optional[str]] = {}
) -> Config:
    """Read the YAML file at `path`, lay `KEY=VALUE` overrides and `paths` over it, and check all.

    `overrides` are dotted keys with YAML values (`train.epochs=3`); `paths` gives values of the
    section `paths` by name, None where the file's own value stands.

    Raises:
        ConfigError: the file cannot be read, or a setting is wrong; every mistake is named.
    """
    raw = read_yaml(path)
    for override in overrides:
        _override(raw, override)
    for name, value in paths.items():
        if value is not None:
            _override(raw, f"paths.{name}={json.dumps(value)}")
    return from_mapping(raw, source=path)


def from_mapping(raw: Mapping[str, Any], source: str) -> Config:
    """Check a mapping of settings; `source` is what errors call it. Raises ConfigError."""
    try:
        # JSON mode is strict about types, yet takes a list for a tuple as YAML writes one.
        return Config.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        mistakes = [_mistake(dict(item)) for item in error.errors(include_url=False)]
        heading = f"{source}: {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
        raise ConfigError("\n".join([heading, *(f"  {line}" for line in mistakes)])) from None


def required(value: Optional[str], key: str, flag: str) -> str:
    """Return a path that the job at hand cannot do without. Raises ConfigError when unset."""
    if not value:
        raise ConfigError(f"paths.{key} is not set; give it in the config file or as {flag} URL")
    return value


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted keys, such as train.model.name."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        inner = isinstance(value, dict)
        found.update(flat(value, f"{prefix}{key}.") if inner else {prefix + key: value})
    return found


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Settings that are not the same in both: (dotted key, old, new), None where there is none."""
    old_flat, new_flat = flat(old), flat(new)
    pairs = ((key, old_flat.get(key), new_flat.get(key)) for key in sorted({*old_flat, *new_flat}))
    return [(key, one, other) for key, one, other in pairs if one != other]


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e-3 as the number that it is, and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[Any] = []
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.append(key)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(  # type: ignore[no-untyped-call]
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _parse_yaml(text: str, source: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML: {' '.join(str(error).split())}") from None


def read_yaml(path: str) -> dict[str, Any]:
    """Read the settings in the file at `path`. Raises ConfigError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: cannot read the config: not UTF-8 text") from None
    raw = _parse_yaml(text, path)
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must hold settings as key: value, holds a {type(raw).__name__}")
    return raw


def _override(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: must be KEY=VALUE, such as train.epochs=3")
    *sections, name = key.split(".")
    for section in sections:
        inner = raw.get(section)
        # Copied on the way down, so that a caller's own mapping stays as it is.
        raw[section] = dict(inner) if isinstance(inner, dict) else {}
        raw = raw[section]
    raw[name] = _parse_yaml(value, f"--set {override}")


def _mistake(error: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"] if part not in ("convnet", "mlp"))
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; {_valid_keys(error['loc'])}"
    message = str(error["msg"]).replace("Input should be", "must be").replace("Value error, ", "")
    if error["type"] == "missing" or isinstance(error["input"], dict):
        return f"{key or 'config'}: {message}"
    return f"{key} = {json.dumps(error['input'])}: {message}"


def _valid_keys(location: tuple[Union[int, str], ...]) -> str:
    section: Any = Config
    for part in location[:-1]:
        if part in ("convnet", "mlp"):
            section = {"convnet": Convnet, "mlp": Mlp}[str(part)]
        elif part != "model":
            section = section.model_fields[part].annotation
    close = difflib.get_close_matches(str(location[-1]), list(section.model_fields), n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}valid here: {', '.join(section.model_fields)}"


def _one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"must have exactly 1 group (...), has {groups}")
    return pattern
