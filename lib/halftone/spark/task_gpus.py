"""Name the GPUs of a Spark task in its Python worker's environment.

CUDA reads CUDA_VISIBLE_DEVICES when a process uses it first, and never again: a worker that has
computed on a card stays on it, also for later tasks to which Spark assigns another card.
"""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

from pyspark import TaskContext

_VARIABLE = "CUDA_VISIBLE_DEVICES"
# The addresses of conf/deploy/gpus.sh are in the order of nvidia-smi; CUDA's own is by speed.
_ORDER_VARIABLE, _ORDER = "CUDA_DEVICE_ORDER", "PCI_BUS_ID"


class _Named(NamedTuple):
    inherited: Optional[str]  # what the worker's environment named
    replaced_by: str


# What the last task of this worker has replaced.
_last: Optional[_Named] = None


def name_task_gpus() -> None:
    """Set CUDA_VISIBLE_DEVICES to the GPUs that Spark has assigned to the running task.

    If Spark assigned none, the variable stays as the executor got it. An executor that was given
    the variable keeps to it: of the assigned cards only such are taken that it names.
    """
    global _last
    value = os.environ.get(_VARIABLE)
    inherited = _last.inherited if _last and value == _last.replaced_by else value
    visible = _choose(_assigned_addresses(), inherited)
    if visible is None:
        os.environ.pop(_VARIABLE, None)
        return
    _last = _Named(inherited, visible)
    os.environ[_VARIABLE] = visible
    if visible != inherited:
        os.environ.setdefault(_ORDER_VARIABLE, _ORDER)


def _assigned_addresses() -> list[str]:
    context = TaskContext.get()
    gpus = context.resources().get("gpu") if context else None
    return list(gpus.addresses) if gpus else []


def _choose(assigned: list[str], inherited: Optional[str]) -> Optional[str]:
    if not assigned:
        return inherited
    if inherited is not None and not set(assigned) <= set(inherited.split(",")):
        return inherited  # as on Databricks, whose addresses count the cards of a task from 0
    return ",".join(assigned)
