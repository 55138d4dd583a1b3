"""The process of one rank.

    python -m halftone.launch.rank

It reads its job, one line of JSON, from standard input, sends the message READY, and starts to
train when it reads another line. So all ranks connect at the same time, however long each took to
start. The process ends when its standard input ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, Optional

from halftone import logs
from halftone.config import Config, SparkSettings, config_from_mapping
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError
from halftone.launch import rank_messages
from halftone.launch.rank_messages import READY, STOPPED, RankStatus
from halftone.storage import clients
from halftone.system import cores, interfaces, parent_watch

PYTHON_ARGUMENTS = ("-X", "faulthandler", "-m", "halftone.launch.rank")
# Horovod: without these timeouts a rank waits for ever for one that hangs. Gloo's timeout ends the
# wait for the control messages of a frozen rank, the stall check the wait for a rank that does not
# take part in a reduction. Both leave rank 0 time to write a checkpoint.
_DEFAULT_ENVIRONMENT = {
    "HOROVOD_GLOO_TIMEOUT_SECONDS": "60",
    "HOROVOD_STALL_CHECK_TIME_SECONDS": "30",
    "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": "60",
    "HOROVOD_LOG_LEVEL": "error",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def build_job(config: Config, manifest: Manifest, dataset: str, output: str) -> dict[str, Any]:
    """Return the job that all ranks get.

    It holds the manifest, because the dataset may grow before a rank could read it.
    """
    # Ranks do not need the settings of Spark, which may hold passwords.
    config = config.model_copy(update={"spark": SparkSettings()})
    return {
        "config": config.model_dump(mode="json"),
        "manifest": manifest.model_dump(mode="json"),
        "dataset": dataset,
        "output": output,
    }


def encode_job(job: Mapping[str, Any], environment: Mapping[str, str]) -> bytes:
    """Encode a job as a rank reads it, with the environment variables of that rank."""
    return (json.dumps({**job, "environment": environment}) + "\n").encode()


def set_default_environment() -> None:
    """Set the environment variables of Horovod and TensorFlow that are not set yet."""
    for name, value in _DEFAULT_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def train_in_process(config: Config, manifest: Manifest, dataset: str, output: str) -> None:
    """Train in this process, as the rank that its environment describes."""
    set_default_environment()
    os.environ.setdefault("HOROVOD_CYCLE_TIME", f"{config.train.cycle_ms:g}")
    from halftone.feed import world  # here: these import TensorFlow, which takes seconds
    from halftone.training.fit import fit_rank

    fit_rank(config, manifest, dataset, output, world.detect_world())


def main() -> int:
    parent_watch.signal_on_parent_exit(signal.SIGKILL)
    logs.start_child(always_json=True)
    line = sys.stdin.readline()
    try:
        return _run_job(json.loads(line)) if line else 1
    except Exception as error:
        status = rank_messages.status_from_error(error)
        rank_messages.send(status)
        # Skip Horovod's shutdown, which waits for ranks that may have ended.
        os._exit(0 if status.kind == STOPPED else 1)


def _run_job(job: Mapping[str, Any]) -> int:
    os.environ.update(job["environment"])
    logs.start_child(always_json=True)  # with the level of the driver
    logs.set_rank(int(os.environ["HOROVOD_RANK"]))
    set_default_environment()
    cores.pin_to_rank_cores(
        int(os.environ["HOROVOD_LOCAL_RANK"]), int(os.environ["HOROVOD_LOCAL_SIZE"])
    )
    config = config_from_mapping(job["config"], source="the launcher's config")
    clients.set_options(config.storage.options)
    if int(os.environ["HOROVOD_SIZE"]) > 1:
        _choose_network(config.train.network_interface)
    manifest = Manifest.model_validate_json(json.dumps(job["manifest"]))

    rank_messages.send(RankStatus(READY))
    if not sys.stdin.readline():
        return 1
    parent_watch.exit_on_stdin_end()
    train_in_process(config, manifest, job["dataset"], job["output"])
    return 0


def _choose_network(interface_setting: Optional[str]) -> None:
    """Set the network interface that Horovod uses.

    Raises:
        InputError: there is none, or this machine's name has no address.
    """
    problem = interfaces.rank_network_problem()
    if problem:
        raise InputError(problem)
    interface = interfaces.choose_interface(
        interface_setting, os.environ["HOROVOD_GLOO_RENDEZVOUS_ADDR"]
    )
    os.environ["HOROVOD_GLOO_IFACE"] = interface
    os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)


if __name__ == "__main__":
    sys.exit(main())
