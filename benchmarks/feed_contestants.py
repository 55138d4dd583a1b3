"""The contestants of feed.py: feeds, and trainings on those feeds."""

from __future__ import annotations

from typing import NamedTuple


class Contestant(NamedTuple):
    name: str
    description: str  # for the table's legend
    function: str  # MODULE:FUNCTION in feeds/
    is_slow: bool = False  # runs on a part of the rows


_TUTORIAL = "Petastorm's make_batch_reader with a TransformSpec, make_petastorm_dataset, batch"
FEEDS = (
    Contestant("limit", "pyarrow reads Parquet to NumPy, permuted, sliced", "limit:streamed"),
    Contestant("limit-memory", "NumPy arrays in memory, permuted, sliced", "limit:cached"),
    Contestant("halftone", "train.cache none: streamed, shuffled four shards at a time; uint8",
               "ours:streamed"),
    Contestant("halftone-kept", "train.cache memory: fully shuffled; uint8", "ours:cached"),
    Contestant("tfrecord", "TFRecordDataset, batch, parse_example and decode_raw of a batch at "
               "once, prefetch; not shuffled; uint8", "tfrecord:as_uint8"),
    Contestant("tfrecord-float32", "the same, and cast to 0..1", "tfrecord:as_float32"),
    Contestant("tfrecord-shuffled", "the same as uint8, after a shuffle of 16,384 records",
               "tfrecord:shuffled"),
    Contestant("tensors", "from_tensor_slices, full shuffle, batch, prefetch; uint8",
               "tensors:as_uint8"),
    Contestant("tensors-float32", "the same of float32 in 0..1", "tensors:as_float32"),
    Contestant("petastorm", f"{_TUTORIAL}; uint8", "tutorial:as_uint8", is_slow=True),
    Contestant("petastorm-float32", "the same, to float32 in 0..1", "tutorial:as_float32",
               is_slow=True),
)  # fmt: skip
EPOCHS = (
    Contestant("fit-tensors", "Keras' fit on tensors in memory, fully shuffled",
               "epochs:from_tensors"),
    Contestant("fit-kept", "fit fed by halftone-kept", "epochs:from_cached"),
    Contestant("fit-streamed", "fit fed by halftone", "epochs:from_streamed"),
)  # fmt: skip
ALL = (*FEEDS, *EPOCHS)
