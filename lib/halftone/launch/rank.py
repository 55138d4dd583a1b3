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

from halftone.config import Config, Spark, from_mapping
from halftone.dataset.manifest import Manifest
from halftone.launch import rank_messages
from halftone.launch.rank_messages import READY, STOPPED, Word
from halftone.storage import clients
from halftone.system import cores, interfaces, parent_watch

COMMAND = ("-X", "faulthandler", "-m", "halftone.launch.rank")
# Horovod: without these a rank that waits for one that hangs waits for ever. A rank that is frozen
# holds up the others' control messages, which Gloo waits for; one that is late at a reduction is
# what the stall check looks for. Both leave rank 0 time to write a checkpoint.
_GUARDS = {
    "HOROVOD_GLOO_TIMEOUT_SECONDS": "60",
    "HOROVOD_STALL_CHECK_TIME_SECONDS": "30",
    "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": "60",
    "HOROVOD_LOG_LEVEL": "error",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def job(config: Config, data: Manifest, dataset: str, output: str) -> dict[str, Any]:
    """What all ranks must know. All get one manifest, as the dataset may grow meanwhile."""
    # How Spark was started is none of theirs, and may hold passwords.
    config = config.model_copy(update={"spark": Spark()})
    return {
        "config": config.model_dump(mode="json"),
        "manifest": data.model_dump(mode="json"),
        "dataset": dataset,
        "output": output,
    }


def as_line(job: Mapping[str, Any], environment: Mapping[str, str]) -> bytes:
    """A job as a rank reads it, with what makes it this rank."""
    return (json.dumps({**job, "environment": environment}) + "\n").encode()


def guard() -> None:
    """Set what Horovod and TensorFlow are told by environment, unless it is set already."""
    for name, value in _GUARDS.items():
        os.environ.setdefault(name, value)


def fit(config: Config, data: Manifest, dataset: str, output: str) -> None:
    """Train, as the rank that this process is."""
    guard()
    os.environ.setdefault("HOROVOD_CYCLE_TIME", f"{config.train.cycle_ms:g}")
    from halftone.feed import world  # here, as they take TensorFlow's seconds to import
    from halftone.training.fit import fit_rank

    fit_rank(config, data, dataset, output, world.detect())


def main() -> int:
    parent_watch.end_with_parent(signal.SIGKILL)
    line = sys.stdin.readline()
    try:
        return _work(json.loads(line)) if line else 1
    except Exception as error:
        word = rank_messages.of_error(error)
        rank_messages.say(word)
        # Not by way of Horovod's own end, which waits for ranks that may be gone.
        os._exit(0 if word.kind == STOPPED else 1)


def _work(job: Mapping[str, Any]) -> int:
    os.environ.update(job["environment"])
    guard()
    cores.keep_to_share(
        int(os.environ["HOROVOD_LOCAL_RANK"]), int(os.environ["HOROVOD_LOCAL_SIZE"])
    )
    config = from_mapping(job["config"], source="the launcher's config")
    clients.use(config.storage.options)
    interface = interfaces.chosen(
        config.train.network_interface, os.environ["HOROVOD_GLOO_RENDEZVOUS_ADDR"]
    )
    os.environ["HOROVOD_GLOO_IFACE"] = interface
    os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    data = Manifest.model_validate_json(json.dumps(job["manifest"]))
    import halftone.training.fit  # noqa: F401 (the longest part of a rank's start)

    rank_messages.say(Word(READY))
    if not sys.stdin.readline():
        return 1
    parent_watch.end_with_input()
    fit(config, data, job["dataset"], job["output"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
