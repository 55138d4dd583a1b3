"""Row groups as Arrow tables, through Petastorm and in the order of the files.

Petastorm's own batch reader turns every image into a Python object on the way, which costs half of
the time of reading; what its worker read is taken here as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

# petastorm 0.12.1 uses much of what pyarrow 10 calls deprecated.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\.")
from petastorm.arrow_reader_worker import ArrowReaderWorker  # noqa: E402
from petastorm.fs_utils import get_filesystem_and_path_or_paths  # noqa: E402
from petastorm.reader import Reader  # noqa: E402
from petastorm.workers_pool import EmptyResultError  # noqa: E402
from petastorm.workers_pool.thread_pool import ThreadPool  # noqa: E402

# Arrow's default for Linux gives the pages of each row group back to the system, and to have them
# zeroed again is then a quarter of the time of reading.
pa.set_memory_pool(pa.mimalloc_memory_pool())

# Row groups that wait while the model is busy: two of 16 MiB, and not Petastorm's fifty.
_READ_AHEAD_ROW_GROUPS = 2


def read_tables(urls: Sequence[str], columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield one row group after another, with those columns.

    Args:
        urls: files, and never a folder: to open one would unpickle its _common_metadata.
    """
    filesystem, paths = get_filesystem_and_path_or_paths(list(urls), "libhdfs3")
    with Reader(
        filesystem,
        paths,
        schema_fields=[f"^{column}$" for column in columns],
        worker_class=_TableWorker,
        reader_pool=ThreadPool(
            1, _READ_AHEAD_ROW_GROUPS
        ),  # more would give row groups in another order
        num_epochs=1,
        shuffle_row_groups=False,  # the planner has shuffled them, the same way on every run
        is_batched_reader=True,
    ) as reader:
        yield from reader


class _TableQueueReader:
    """What Petastorm's reader asks for the next thing to give out."""

    batched_output = True

    def read_next(self, pool: Any, schema: Any, ngram: Any) -> pa.Table:
        try:
            return pool.get_results()
        except EmptyResultError:
            raise StopIteration from None


class _TableWorker(ArrowReaderWorker):
    @staticmethod
    def new_results_queue_reader() -> _TableQueueReader:
        return _TableQueueReader()
