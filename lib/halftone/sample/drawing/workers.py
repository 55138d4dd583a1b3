"""Draw in parallel, with one process per core."""

from __future__ import annotations

import functools
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, Callable

import cv2

_MIN_PARALLEL_TASKS = 16  # a process takes half a second to start


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def worker_map(processes: int, num_tasks: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield a `map` that runs in `processes` processes; for few tasks, the built-in `map`.

    Any exception in the body, including KeyboardInterrupt, cancels the tasks that have not begun.
    """
    if processes == 1 or num_tasks < _MIN_PARALLEL_TASKS:
        yield map
        return
    # Spawned, not forked: the caller may run threads (Spark, TensorFlow) that a fork would break.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_start_worker) as pool:
        try:
            yield functools.partial(pool.map, chunksize=4)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker() -> None:
    cv2.setNumThreads(1)  # there is already one process per core
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit if the parent was killed; else the worker would wait for its next task forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
