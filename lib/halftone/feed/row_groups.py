"""Read row groups through Petastorm as Arrow tables, in the order of the files.

Petastorm's batch reader converts every image into a Python object, which takes half of the reading
time. The queue reader below returns the worker's Arrow tables unchanged.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from halftone import storage
from halftone.storage import clients

# petastorm 0.12.1 uses many functions that pyarrow 10 deprecates.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\.")
from petastorm.arrow_reader_worker import ArrowReaderWorker  # noqa: E402
from petastorm.fs_utils import FilesystemResolver  # noqa: E402
from petastorm.reader import Reader  # noqa: E402
from petastorm.workers_pool import EmptyResultError  # noqa: E402
from petastorm.workers_pool.thread_pool import ThreadPool  # noqa: E402

# Arrow's default allocator on Linux returns the pages of each row group to the operating system;
# zeroing them again takes a quarter of the reading time.
pa.set_memory_pool(pa.mimalloc_memory_pool())

# Row groups that are read ahead of the model, 16 MiB each. Petastorm's default is fifty.
_READ_AHEAD_ROW_GROUPS = 2


def read_tables(urls: Sequence[str], columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield one row group after another, with the given columns.

    Args:
        urls: files only. Opening a folder would unpickle its _common_metadata.
    """
    # Petastorm itself would parse the URLs, and cut them at a # or ?.
    if storage.is_local(urls[0]):
        filesystem, paths = FilesystemResolver("file:///").filesystem(), list(urls)
    else:
        filesystem, paths = clients.open_files(urls)
    with Reader(
        filesystem,
        paths,
        schema_fields=[f"^{column}$" for column in columns],
        worker_class=_TableWorker,
        # A single thread keeps the order of the row groups.
        reader_pool=ThreadPool(1, _READ_AHEAD_ROW_GROUPS),
        num_epochs=1,
        shuffle_row_groups=False,  # the epoch plan has shuffled them reproducibly
        is_batched_reader=True,
    ) as reader:
        yield from reader


class _TableQueueReader:
    """Passes the tables of the workers to Petastorm's reader unchanged."""

    batched_output = True

    def read_next(self, pool: Any, schema: Any, ngram: Any) -> pa.Table:
        try:
            return pool.get_results()
        except EmptyResultError:
            raise StopIteration from None


class _TableWorker(ArrowReaderWorker):
    """Petastorm's worker for Arrow tables, with the queue reader above."""

    @staticmethod
    def new_results_queue_reader() -> _TableQueueReader:
        return _TableQueueReader()
