"""The contestants of ingest.py: the command of each, and the function that counts its output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import yaml

from outputs import OutputCount, count_dataset, count_rows, count_successes

ROOT = Path(__file__).resolve().parent.parent
_PEERS = ROOT / "benchmarks" / "peers"
TARGET_PX = 64
CORES = 2


class Task(NamedTuple):
    """The input and output of one run."""

    images: Path
    count: int
    output: Path  # does not exist yet
    bench_python: Path


class Contestant(NamedTuple):
    name: str
    description: str  # for the table's legend
    command: Callable[[Task], list[str]]
    count_output: Callable[[Path], OutputCount]
    package: Optional[str] = None  # that the peers' venv must have
    is_slow: bool = False  # runs on a part of the images


def environment() -> dict[str, str]:
    """Return the environment variables of all runs."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "WANDB_MODE": "disabled",
    }


def installed_versions(bench_python: Path, packages: list[str]) -> Mapping[str, str]:
    """Return the versions of the `packages` that the peers' venv has."""
    script = (
        "import json, sys\nfrom importlib.metadata import PackageNotFoundError, version\n"
        "versions = {}\n"
        "for name in sys.argv[1:]:\n"
        "    try: versions[name] = version(name)\n"
        "    except PackageNotFoundError: pass\n"
        "print(json.dumps(versions))\n"
    )
    if not bench_python.exists():
        return {}
    process = subprocess.run(
        [str(bench_python), "-c", script, *packages], check=True, capture_output=True, text=True
    )
    return dict(json.loads(process.stdout))


def spark_submit(*options: str) -> list[str]:
    program = Path(sys.executable).parent / "spark-submit"
    return [str(program), "--master", f"local[{CORES}]", *options]


def halftone_job(images: str, output: Path) -> list[str]:
    """Return the command of Halftone's preprocess job; its config is written beside `output`."""
    config = output.with_suffix(".yaml")
    settings = {
        "name": "benchmark",
        "paths": {"images": images, "dataset": str(output)},
        "pixels": {"height_px": TARGET_PX, "width_px": TARGET_PX, "channels": 1},
    }
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return spark_submit(str(ROOT / "jobs" / "preprocess.py"), "--config", str(config))


def spark_peer(script: str, images: str, output: Path, count: int, *options: str) -> list[str]:
    """Return the command of a peer that runs in Spark.

    Spark's image formats run out of memory with the default driver memory of 1 GiB.
    """
    peer = [str(_PEERS / script), images, str(output), str(count), str(TARGET_PX)]
    return spark_submit("--driver-memory", "4g", *options, *peer)


def _halftone(task: Task) -> list[str]:
    return halftone_job(str(task.images), task.output)


def _spark(script: str) -> Callable[[Task], list[str]]:
    return lambda task: spark_peer(script, str(task.images), task.output, task.count)


def _python(script: str, in_bench: bool) -> Callable[[Task], list[str]]:
    def command(task: Task) -> list[str]:
        python = str(task.bench_python) if in_bench else sys.executable
        arguments = [str(task.images), str(task.output), str(task.count), str(TARGET_PX)]
        return [python, str(_PEERS / script), *arguments]

    return command


ALL = (
    Contestant(
        "bare",
        "two processes of OpenCV, reduced decode, no Spark, no checks: the limit",
        _python("bare.py", in_bench=False),
        count_rows,
    ),
    Contestant(
        "halftone",
        "jobs/preprocess.py: also checks, labels, splits, finds duplicates and shuffles",
        _halftone,
        count_dataset,
    ),
    Contestant(
        "binaryfile",
        "Spark's binaryFile + mapInPandas (OpenCV), default settings",
        _spark("binaryfile.py"),
        count_rows,
    ),
    Contestant(
        "image-source",
        "Spark's image source + udf",
        _spark("image_source.py"),
        count_rows,
        is_slow=True,
    ),
    Contestant(
        "img2dataset",
        "two processes, file:// URLs; colour, encoded as JPEG again",
        _python("img2dataset_files.py", in_bench=True),
        count_successes,
        package="img2dataset",
    ),
    Contestant(
        "ray",
        "Ray Data read_images (Pillow, bilinear) on two CPUs",
        _python("ray_data.py", in_bench=True),
        count_rows,
        package="ray",
    ),
    Contestant(
        "daft",
        "Daft's download, decode_image and resize (Rust) on two CPUs",
        _python("daft_images.py", in_bench=True),
        count_rows,
        package="daft",
    ),
)
