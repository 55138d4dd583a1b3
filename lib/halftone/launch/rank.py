"""One rank of a training, as a process of its own.

    python -m halftone.launch.rank

reads its job, one line of JSON, from its standard input; says that it is ready; and begins when it
gets another line, so that the ranks meet at the same time however long each took to start. It ends
when its input does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from halftone.config import Config, SparkSettings, config_from_mapping
from halftone.dataset.manifest import Manifest
from halftone.launch import rank_messages
from halftone.launch.rank_messages import READY, STOPPED, RankStatus
from halftone.storage import clients
from halftone.system import cores, interfaces, parent_watch

PYTHON_ARGUMENTS = ("-X", "faulthandler", "-m", "halftone.launch.rank")
# Horovod: without these a rank that waits for one that hangs waits for ever. A rank that is frozen
# holds up the others' control messages, which Gloo waits for; one that is late at a reduction is
# what the stall check looks for. Both leave rank 0 time to write a checkpoint.
_DEFAULT_ENVIRONMENT = {
    "HOROVOD_GLOO_TIMEOUT_SECONDS": "60",
    "HOROVOD_STALL_CHECK_TIME_SECONDS": "30",
    "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": "60",
    "HOROVOD_LOG_LEVEL": "error",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def build_job(config: Config, manifest: Manifest, dataset: str, output: str) -> dict[str, Any]:
    """What all ranks must know. All get one manifest, as the dataset may grow meanwhile."""
    # How Spark was started is none of theirs, and may hold passwords.
    config = config.model_copy(update={"spark": SparkSettings()})
    return {
        "config": config.model_dump(mode="json"),
        "manifest": manifest.model_dump(mode="json"),
        "dataset": dataset,
        "output": output,
    }


def encode_job(job: Mapping[str, Any], environment: Mapping[str, str]) -> bytes:
    """A job as a rank reads it, with what makes it this rank."""
    return (json.dumps({**job, "environment": environment}) + "\n").encode()


def set_default_environment() -> None:
    """Set what Horovod and TensorFlow are told by environment, unless it is set already."""
    for name, value in _DEFAULT_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def train_in_process(config: Config, manifest: Manifest, dataset: str, output: str) -> None:
    """Train, as the rank that this process is."""
    set_default_environment()
    os.environ.setdefault("HOROVOD_CYCLE_TIME", f"{config.train.cycle_ms:g}")
    from halftone.feed import world  # here, as they take TensorFlow's seconds to import
    from halftone.training.fit import fit_rank

    fit_rank(config, manifest, dataset, output, world.detect_world())


def main() -> int:
    parent_watch.signal_on_parent_exit(signal.SIGKILL)
    line = sys.stdin.readline()
    try:
        return _run_job(json.loads(line)) if line else 1
    except Exception as error:
        word = rank_messages.status_from_error(error)
        rank_messages.send(word)
        # Not by way of Horovod's own end, which waits for ranks that may be gone.
        os._exit(0 if word.kind == STOPPED else 1)


def _run_job(job: Mapping[str, Any]) -> int:
    os.environ.update(job["environment"])
    set_default_environment()
    cores.pin_to_rank_cores(
        int(os.environ["HOROVOD_LOCAL_RANK"]), int(os.environ["HOROVOD_LOCAL_SIZE"])
    )
    config = config_from_mapping(job["config"], source="the launcher's config")
    clients.set_options(config.storage.options)
    interface = interfaces.choose_interface(
        config.train.network_interface, os.environ["HOROVOD_GLOO_RENDEZVOUS_ADDR"]
    )
    os.environ["HOROVOD_GLOO_IFACE"] = interface
    os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    data = Manifest.model_validate_json(json.dumps(job["manifest"]))

    rank_messages.send(RankStatus(READY))
    if not sys.stdin.readline():
        return 1
    parent_watch.exit_on_stdin_end()
    train_in_process(config, data, job["dataset"], job["output"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
