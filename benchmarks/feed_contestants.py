"""Who feeds in feed.py, and who trains on what is fed."""

from __future__ import annotations

from typing import NamedTuple


class Contestant(NamedTuple):
    name: str
    what: str  # for the table's legend
    function: str  # MODULE:FUNCTION in feeds/
    is_slow: bool = False  # gets a part of the rows


_TUTORIAL = "Petastorm's make_batch_reader with a TransformSpec, make_petastorm_dataset, batch"
FEEDS = (
    Contestant("limit", "pyarrow reads Parquet to NumPy, permuted, cut", "limit:streamed"),
    Contestant("limit-memory", "NumPy arrays in memory, permuted, cut", "limit:kept"),
    Contestant("halftone", "train.cache none: streamed, mixed four shards at a time; uint8",
               "ours:streamed"),
    Contestant("halftone-kept", "train.cache memory: mixed whole; uint8", "ours:kept"),
    Contestant("tfrecord", "TFRecordDataset, batch, parse_example and decode_raw of a batch at "
               "once, prefetch; not shuffled; uint8", "tfrecord:as_uint8"),
    Contestant("tfrecord-float32", "the same, and cast to 0..1", "tfrecord:as_float32"),
    Contestant("tfrecord-shuffled", "the same as uint8, behind a shuffle of 16,384 records",
               "tfrecord:shuffled"),
    Contestant("tensors", "from_tensor_slices, shuffle whole, batch, prefetch; uint8",
               "tensors:as_uint8"),
    Contestant("tensors-float32", "the same of float32 in 0..1", "tensors:as_float32"),
    Contestant("petastorm", f"{_TUTORIAL}; uint8", "tutorial:as_uint8", is_slow=True),
    Contestant("petastorm-float32", "the same, to float32 in 0..1", "tutorial:as_float32",
               is_slow=True),
)  # fmt: skip
EPOCHS = (
    Contestant("fit-tensors", "Keras' fit on tensors in memory, shuffled whole",
               "epochs:from_tensors"),
    Contestant("fit-kept", "fit fed by halftone-kept", "epochs:from_kept"),
    Contestant("fit-streamed", "fit fed by halftone", "epochs:from_streamed"),
)  # fmt: skip
ALL = (*FEEDS, *EPOCHS)
