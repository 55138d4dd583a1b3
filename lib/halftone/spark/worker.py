"""Arrow UDFs as Spark's Python workers run them.

Spark's worker prepares each task anew: it collects garbage among all objects, and reads the
directory of each zip archive on its path again. With pandas and Arrow loaded this takes 0.07 s of
0.12 s that a small task takes (measured with Python 3.11), so a worker is spared both after its
first task.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Callable
from zipimport import zipimporter

import pyarrow as pa

from halftone import arrow, logs
from halftone.errors import is_lasting
from halftone.spark.task_gpus import name_task_gpus
from halftone.storage import clients

_logger = logging.getLogger(__name__)
TableFunction = Callable[[Iterator[pa.Table]], Iterable[pa.Table]]
_MAX_BATCH_ROWS = 1 << 16
# Marks of the message of an error in what Spark says of it; the second if the error `is_lasting`.
ERROR_MARK, LASTING_MARK = "halftone worker error: ", "halftone lasting error: "


class WorkerError(Exception):
    """An error in a worker; `parse_worker_error` finds its message in Spark's text."""


class ArrowFunction:
    """The function of a `mapInArrow`.

    Args:
        function: gets the rows of a partition in tables of some thousand rows, and yields tables of
            `schema`. It can be pickled.
        schema: of the result.
        environment: `client_environment` of the driver, for the worker.
    """

    def __init__(
        self, function: TableFunction, schema: pa.Schema, environment: Mapping[str, str]
    ) -> None:
        self._function, self._schema, self._environment = function, schema, dict(environment)
        self._log_environment = logs.environment()

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        clients.apply_client_environment(self._environment)
        name_task_gpus()
        logs.start_worker(self._log_environment)
        try:
            tables = (pa.Table.from_batches([batch]) for batch in batches)
            for table in self._function(tables):
                yield from arrow.conform(table, self._schema).to_batches(_MAX_BATCH_ROWS)
        except Exception as error:
            mark = LASTING_MARK if is_lasting(error) else ERROR_MARK
            if mark == ERROR_MARK:
                # The log of the executor has the traceback. Spark Connect cuts long messages off.
                _logger.exception("task failed")
            raise WorkerError(f"{mark}{describe_error(error)}") from None
        finally:
            _spare_next_task()


def describe_error(error: BaseException) -> str:
    """Return the message of an error on one line; errors of Halftone need no class name."""
    text = " ".join(str(error).split())
    if type(error).__module__.split(".")[0] == "halftone":
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _spare_next_task() -> None:
    gc.freeze()  # the objects are left out of later collections
    # Importers of zip archives are made again by the next import, if there is one.
    for path, importer in list(sys.path_importer_cache.items()):
        if isinstance(importer, zipimporter):
            del sys.path_importer_cache[path]
