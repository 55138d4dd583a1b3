"""What tests share: one Spark session, and folders of small drawn images."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Callable

# Before TensorFlow is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import hypothesis
import numpy as np
import pytest
from pyspark import cloudpickle
from pyspark.sql import SparkSession

from connect_server import ConnectServer, open_session, running_server
from gate import (  # noqa: F401 (pytest finds its hooks here)
    pytest_collection_modifyitems,
    pytest_deselected,
    pytest_runtest_setup,
    pytest_sessionfinish,
    pytest_testnodedown,
    pytest_unconfigure,
)
from halftone import logs
from halftone.config import Config, SparkSettings, config_from_mapping
from halftone.preprocess.run import preprocess
from halftone.spark.session import spark_session
from training_jobs import Train, start_job

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("without deadline", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("without deadline")

# As the jobs do, but for the loggers and warnings of libraries, which are pytest's.
logs.start(libraries=False)

DrawImages = Callable[..., Path]
# URLs, globs, shells, SQL and CSV each give a meaning to some of these characters.
ODD_NAME = "a #?%20[1]*&'\"ü😀 b"


@pytest.fixture
def tmp_path(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """pytest's own folder; for a test marked `odd_folder`, one with an odd name below it.

    Such a folder is also the working directory, and its folder `tmp` is TMPDIR.
    """
    if request.node.get_closest_marker("odd_folder") is None:
        return tmp_path
    folder = tmp_path / ODD_NAME
    (folder / "tmp").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    return folder


# A shell ignores SIGINT in what it runs in the background, and the jobs that tests interrupt would
# inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    with spark_session("tests", SparkSettings(master="local[2, 4]")) as session:
        yield session


@pytest.fixture(scope="session")
def connect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConnectServer]:
    with running_server(tmp_path_factory.mktemp("connect")) as server:
        yield server


@pytest.fixture(scope="session")
def connect_session(connect_server: ConnectServer) -> Iterator[SparkSession]:
    """A session of Spark Connect, whose workers have the package. Use it through `any_spark`."""
    with open_session(connect_server.url) as session:
        yield session


@pytest.fixture(params=["classic", "connect"])
def any_spark(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SparkSession]:
    """A session of each kind. Functions of the test's module are sent to the workers."""
    if request.param == "classic":
        yield request.getfixturevalue("spark")
        return
    session = request.getfixturevalue("connect_session")
    # Both kinds in one process: PySpark looks at this variable to tell which one is meant.
    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    cloudpickle.register_pickle_by_value(request.module)
    yield session
    cloudpickle.unregister_pickle_by_value(request.module)


@pytest.fixture
def draw_images(tmp_path: Path) -> DrawImages:
    """Draw images of upright and lying stripes, 40 x 48 px, into a folder for each class."""

    def draw(
        folder: str = "images",
        classes: tuple[str, ...] = ("lying", "upright"),
        each: int = 20,
        start: int = 0,
    ) -> Path:
        return draw_stripes(tmp_path / folder, classes, each, start)

    return draw


def draw_stripes(root: Path, classes: tuple[str, ...], each: int, start: int = 0) -> Path:
    """Draw images `start` to `each` of every class as PNG files; return `root`."""
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(start, each):
            picture = stripes(number, seed=1000 * number + index)
            cv2.imwrite(str(root / name / f"{index:04d}.png"), picture)
    return root


def stripes(kind: int, seed: int) -> np.ndarray:
    """A (40, 48) uint8 picture of stripes, lying for kind 0, upright for 1, slanted above."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :48]
    along = (y, x, x + y, x - y)[kind % 4]
    wave = np.sin(along / rng.uniform(1.0, 2.0) + rng.uniform(0, 6))
    noise = rng.normal(0, 12, wave.shape)
    return np.clip(128 + 80 * wave + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def config() -> Callable[..., Config]:
    """Make a Config for 16 x 16 grey images from what differs from that."""
    return small_config


def small_config(**settings: object) -> Config:
    base: dict[str, object] = {"pixels": {"height_px": 16, "width_px": 16}}
    return config_from_mapping({**base, **settings}, source="test")


@pytest.fixture(scope="session")
def prepared_dataset(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 images in shards of 8 rows. Tests must not change it; they get a copy as `dataset`."""
    root = tmp_path_factory.mktemp("prepared")
    preprocess(
        small_config(
            preprocess={"rows_per_shard": 8},
            splits={"validation_fraction": 0.25, "test_fraction": 0.1},
        ),
        str(draw_stripes(root / "images", ("lying", "upright"), each=60)),
        str(root / "dataset"),
        lambda: spark,
    )
    return root / "dataset"


@pytest.fixture
def dataset(prepared_dataset: Path, tmp_path: Path) -> Path:
    """A copy of `prepared_dataset` that a test may change."""
    return Path(shutil.copytree(prepared_dataset, tmp_path / "dataset"))


@pytest.fixture
def start(tmp_path: Path, dataset: Path) -> Train:
    return partial(start_job, tmp_path, dataset)
