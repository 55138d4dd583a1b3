"""Where the ranks run: in this process, in processes on this machine, or in Spark executors.

    python -m halftone.launch JOB.json

is what horovodrun starts as a rank.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections import deque
from typing import IO, Callable, Optional

import psutil
from pyspark import SparkConf
from pyspark.sql import SparkSession

from halftone import checkpoint, manifest, model_directory, planner, storage
from halftone.config import Config, Convnet, Train, from_mapping
from halftone.errors import InputError, RunError
from halftone.manifest import Manifest
from halftone.model_directory import CARD, CHECKPOINTS, Card
from halftone.session import is_local, is_submitted, num_cores
from halftone.splits import TRAIN

# Horovod: without these a rank that waits for a dead one waits for ever.
_GUARDS = {
    "HOROVOD_STALL_CHECK_TIME_SECONDS": "30",
    "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": "300",
    "HOROVOD_GLOO_TIMEOUT_SECONDS": "120",
    "HOROVOD_LOG_LEVEL": "error",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
# horovodrun puts this before each line of a rank.
_PREFIX = re.compile(r"^\[(\d+)\]<std(?:out|err)>:")


def train(config: Config, dataset: str, output: str, session: Callable[[], SparkSession]) -> Card:
    """Train on the dataset at `dataset` and return the card of the model at `output`.

    Args:
        session: gives the SparkSession; called only by the launcher `spark`.

    Raises:
        InputError: dataset, output and config do not go together.
        RunError: the training failed on the way; the same call goes on from its last checkpoint.
    """
    dataset, output = storage.normalise(dataset), storage.normalise(output)
    data = manifest.read(dataset)
    if _is_finished(config, data, output):
        print(f"nothing to do: the training at {output} is finished", flush=True)
        return model_directory.read_card(output)
    settings = config.train
    _check_size(settings, data)
    planner.plan_epoch(data.shards(TRAIN), settings.ranks, settings.batch_size, config.seed, 1)
    launcher = _launcher(settings)
    rows = sum(shard.rows for shard in data.shards(TRAIN))
    print(
        f"training on {rows:,} images, {settings.ranks} rank{'s' * (settings.ranks > 1)} "
        f"({launcher}), batch {settings.batch_size} = {settings.ranks} x "
        f"{settings.batch_size // settings.ranks}",
        flush=True,
    )
    if launcher == "process":
        os.environ.update({**_GUARDS, **os.environ})
        run_rank(config, dataset, output)
    elif launcher == "horovodrun":
        _horovodrun(config, dataset, output)
    else:
        _in_executors(config, dataset, output, session())
    return model_directory.read_card(output)


def run_rank(config: Config, dataset: str, output: str) -> None:
    """Be one rank of the training, in this process."""
    from halftone import training, world  # here, as they take TensorFlow's seconds to import

    training.fit(config, manifest.read(dataset), dataset, output, world.detect())


def _is_finished(config: Config, data: Manifest, output: str) -> bool:
    """Look at what is at `output`; raise InputError where it is something else than ours."""
    held = storage.list_names(output)
    if held and CARD not in held and CHECKPOINTS not in held:
        raise InputError(
            f"{output}: exists and is not a model (it holds {', '.join(held[:3])}"
            f"{', ...' if len(held) > 3 else ''}); give another --output"
        )
    found = checkpoint.last(storage.join(output, CHECKPOINTS))
    origin = model_directory.origin(config, data)
    if found is not None:
        model_directory.check_origin(output, found.origin, origin)
    if CARD not in held:
        return False
    card = model_directory.read_card(output)
    model_directory.check_origin(output, card.origin, origin)
    return card.config.train.epochs >= config.train.epochs


def _check_size(settings: Train, data: Manifest) -> None:
    """Raise InputError where the convolutions would leave nothing of the dataset's images."""
    if not isinstance(settings.model, Convnet):
        return
    for side, side_px in zip(("height", "width"), data.shape()):
        if settings.model.side_after_px(side_px) < 1:
            raise InputError(
                f"images of {side} {side_px} px are too small for the "
                f"{len(settings.model.filters)} convolutions and poolings of train.model; use "
                "fewer filters or padding same, or preprocess to a larger size"
            )


def _launcher(settings: Train) -> str:
    if settings.launcher != "auto":
        return settings.launcher
    if settings.ranks == 1:
        return "process"
    active = SparkSession.getActiveSession()
    if active is None and not is_submitted():
        return "horovodrun"
    master = active.sparkContext.master if active else SparkConf().get("spark.master")
    return "horovodrun" if is_local(str(master)) else "spark"


def _horovodrun(config: Config, dataset: str, output: str) -> None:
    """Start the ranks as processes on this machine and wait for them."""
    with tempfile.TemporaryDirectory() as folder:
        job = os.path.join(folder, "job.json")
        storage.write_json(job, {"config": config.model_dump(mode="json"), "dataset": dataset,
                                 "output": output, "errors": folder})  # fmt: skip
        command = [sys.executable, "-m", "horovod.runner.launch", "--gloo"]
        command += ["-np", str(config.train.ranks), "--network-interface", "lo"]
        command += [sys.executable, "-m", "halftone.launch", job]
        ranks = subprocess.Popen(
            command,
            env={**_GUARDS, **os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=_end_with_parent,
        )
        try:
            others = _relay(ranks.stdout)
            code = ranks.wait()
        finally:
            ranks.terminate()
        if code:
            _raise_first(folder, code, others)


def _end_with_parent() -> None:
    """Have Linux end the ranks when this job is killed, so that a rerun finds no old ones."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _relay(lines: Optional[IO[str]]) -> list[str]:
    """Print what rank 0 says; return the last that anyone said."""
    last: deque[str] = deque(maxlen=40)
    for line in lines or ():
        rank = _PREFIX.match(line)
        text = _PREFIX.sub("", line).rstrip("\n")
        last.append(text)
        if rank and rank.group(1) == "0":
            print(text, flush=True)
    return list(last)


def _raise_first(folder: str, code: int, last: list[str]) -> None:
    """Raise what the rank that failed first said; the others only fail because of it."""
    names = [name for name in os.listdir(folder) if name.startswith("error-")]
    errors = [storage.read_json(os.path.join(folder, name)) for name in names]
    if not errors:
        said = "\n".join(last[-10:])
        raise RunError(
            f"the ranks ended with exit code {code} and no word why, as when one is killed or "
            f"memory runs out; run again to go on from the last checkpoint. Last lines:\n{said}"
        )
    first = min(errors, key=lambda error: float(error["time"]))
    kind = InputError if first["is_input"] else RunError
    raise kind(f"rank {first['rank']}: {first['message']}")


def _rank_main(job_path: str) -> int:
    job = storage.read_json(job_path)
    try:
        config = from_mapping(job["config"], source="the launcher's config")
        run_rank(config, job["dataset"], job["output"])
    except Exception as error:
        rank = os.environ.get("HOROVOD_RANK", "0")
        said = isinstance(error, (InputError, RunError))
        storage.write_json(
            os.path.join(job["errors"], f"error-{rank}.json"),
            {
                "rank": rank,
                "time": time.time(),
                "is_input": isinstance(error, InputError),
                "message": str(error) if said else traceback.format_exc(),
            },
        )
        return 1
    return 0


def _in_executors(config: Config, dataset: str, output: str, spark: SparkSession) -> None:
    """Run the ranks as tasks of a Spark job, all at once."""
    import horovod.spark

    slots = num_cores(spark)
    if slots < config.train.ranks:
        raise InputError(
            f"train.ranks is {config.train.ranks}, but Spark has {slots} "
            f"slot{'s' * (slots != 1)} to run them in at once; use train.ranks={slots}, or give "
            "Spark more executors or cores"
        )
    try:
        horovod.spark.run(
            run_rank,
            args=(config, dataset, output),
            num_proc=config.train.ranks,
            env={**_GUARDS, **os.environ},
            nics={_interface(spark)},
            use_gloo=True,
            verbose=0,
        )
    except Exception as error:  # horovod.spark raises Exception itself
        raise RunError(f"the ranks in Spark's executors failed: {error}") from error


def _interface(spark: SparkSession) -> str:
    """The network interface over which executors reach this driver; Gloo must be told."""
    host = socket.gethostbyname(spark.sparkContext.getConf().get("spark.driver.host", "localhost"))
    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == host for address in addresses):
            return str(name)
    raise InputError(
        f"spark.driver.host is {host}, which no network interface of this machine has; set "
        "spark.driver.host to an address that the executors can reach"
    )


if __name__ == "__main__":
    sys.exit(_rank_main(sys.argv[1]))
