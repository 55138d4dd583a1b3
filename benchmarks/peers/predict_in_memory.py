"""`model.predict` on arrays in memory, in one process: the limit of scoring.

python benchmarks/peers/predict_in_memory.py MODEL DATASET SPLIT

Prints the number of predicted rows and the seconds of model.predict, as JSON.
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
    model_info = json.loads((Path(model) / "model.json").read_text(encoding="utf-8"))
    network = tf.keras.models.load_model(Path(model) / model_info["network"], compile=False)
    height_px, width_px, channels = network.input_shape[1:]
    rows = [
        pixels
        for path in sorted((Path(dataset) / split).glob("*.parquet"))
        for pixels in pq.read_table(path, columns=["image"])["image"].to_pylist()
    ]
    images = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, height_px, width_px, channels)
    network.predict(images[:512], batch_size=256, verbose=0)  # compiles the graph
    started = time.perf_counter()
    network.predict(images, batch_size=256, verbose=0)
    print(json.dumps({"rows": len(images), "secs": time.perf_counter() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
