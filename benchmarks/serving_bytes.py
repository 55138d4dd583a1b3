"""How far a SavedModel's decoding of image files is from Halftone's: grey levels, probabilities.

    python benchmarks/serving_bytes.py --model out/demo/model --images FOLDER

It compares `serving_bytes` of an export of the model with `images.decode` and Keras. Files that
either does not decode are counted and left out.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from halftone import images, model_directory, storage, summary
from halftone.config import PixelSpec
from halftone.export import saved_model_folder
from halftone.export.exported_network import ExportedNetwork
from halftone.export.graph_decoding import decode_in_graph
from halftone.models import saved_model


def decode_both(
    paths: list[Path], spec: PixelSpec
) -> Iterator[tuple[str, bytes, np.ndarray, np.ndarray]]:
    """Yield format, content, Halftone's pixels and the graph's."""
    in_graph = tf.function(
        lambda data: decode_in_graph(data, spec),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )
    left_out: Counter[str] = Counter()
    for path in paths:
        data = path.read_bytes()
        try:
            decoded = images.decode(data, spec)
            yield decoded.format, data, decoded.pixels, in_graph(tf.constant(data)).numpy()
        except images.ImageRejectedError:
            left_out["Halftone"] += 1
        except tf.errors.InvalidArgumentError:
            left_out["TensorFlow"] += 1
    for name, count in left_out.items():
        print(f"{count:,} files that {name} does not decode")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--count", type=int, default=500, help="files, drawn at random")
    args = parser.parse_args()
    info = model_directory.read_model_info(args.model)
    network = saved_model.load_network(storage.join(args.model, info.network))
    exported = ExportedNetwork(network, info.labels, info.shape())
    paths = sorted(path for path in args.images.rglob("*") if path.is_file())
    paths = random.Random(0).sample(paths, min(args.count, len(paths)))
    with tempfile.TemporaryDirectory() as folder:
        saved_model_folder.write_model(exported, info.pixels, folder)
        model = tf.saved_model.load(os.path.join(folder, saved_model_folder.FOLDER))
        predict, predict_bytes = exported.predict(), model.signatures["serving_bytes"]
        rows: dict[str, list[tuple[float, int, float]]] = {}
        for kind, data, ours, theirs in decode_both(paths, info.pixels):
            grey_levels = np.abs(ours.astype(int) - theirs)
            served = predict_bytes(image_bytes=tf.constant([data]))["probabilities"].numpy()
            probability = float(np.abs(served - predict(ours[None])).max())
            measured = (float(grey_levels.mean()), int(grey_levels.max()), probability)
            rows.setdefault(kind, []).append(measured)
    header = ["format", "images", "mean grey levels", "worst image", "worst pixel"]
    header += ["mean probability", "worst probability"]
    cells = []
    for kind, values in sorted(rows.items()):
        means, maxima, probabilities = map(np.array, zip(*values))
        numbers = [f"{len(values):,}", f"{means.mean():.3f}", f"{means.max():.3f}"]
        numbers += [str(maxima.max()), f"{probabilities.mean():.2g}", f"{probabilities.max():.2g}"]
        cells.append([kind, *numbers])
    print(summary.format_table(header, cells))


if __name__ == "__main__":
    main()
