"""`model.predict` on arrays in memory, in one process: what scoring could reach at most.

python benchmarks/peers/predict_in_memory.py MODEL DATASET SPLIT

Prints as JSON how many rows it predicted and how long that alone took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf


def main(model: str, dataset: str, split: str) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(2)
    card = json.loads((Path(model) / "model.json").read_text(encoding="utf-8"))
    network = tf.keras.models.load_model(Path(model) / card["network"], compile=False)
    height_px, width_px, channels = network.input_shape[1:]
    rows = [
        value
        for path in sorted((Path(dataset) / split).glob("*.parquet"))
        for value in pq.read_table(path, columns=["image"])["image"].to_pylist()
    ]
    images = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, height_px, width_px, channels)
    network.predict(images[:512], batch_size=256, verbose=0)  # compiles it
    started = time.perf_counter()
    network.predict(images, batch_size=256, verbose=0)
    print(json.dumps({"rows": len(images), "secs": time.perf_counter() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
