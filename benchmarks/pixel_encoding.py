"""Rows stored raw, as JPEG and as PNG: bytes on storage, and samples/s of the feed by cores.

    python benchmarks/pixel_encoding.py --count 2000 --rounds 7
    python benchmarks/pixel_encoding.py --images FOLDER

Every encoding holds the same images. Passes of the feed of `train.cache: none` alternate between
encodings and numbers of cores. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Optional

import cv2
import numpy as np

import contestants
import measure
import page
import pictures
import pinned
import synthetic
from feeding import Feeding, FeedingError, PassCost, feeding
from halftone import images
from halftone.config import PixelSpec
from halftone.dataset.manifest import read_manifest

_HERE = Path(__file__).resolve().parent
_ENCODINGS = ("raw", "jpeg", "png")
_DRAWN_SIDE_PX = 512  # of drawn pictures, before they are resized
_CODED = 64  # images by which single encodings are compared
_QUALITIES = (90, 95, 100)
_SAMPLINGS = {
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
}


class Way(NamedTuple):
    """What a pass reads, and on how many cores."""

    encoding: str
    num_cores: int

    def __str__(self) -> str:
        return f"{self.encoding}-{self.num_cores}"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return exit code 0 if all passes count, else 1."""
    args = _parser().parse_args(argv)
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    cores = pinned.find_two_cores()
    raw = PixelSpec(height_px=args.side_px, width_px=args.side_px, channels=3)
    rows = _read_pictures(args, raw)
    source = "images of a folder" if args.images else "drawn, synthetic photographs"
    with measure.run_folder(args.work) as folder:
        row_bytes = {}
        for encoding in _ENCODINGS:
            spec = raw.model_copy(update={"encoding": encoding})
            synthetic.write_images(folder / encoding, args.count, spec, partial(_repeat, rows))
            row_bytes[encoding] = read_manifest(str(folder / encoding)).size_bytes() / args.count
        costs, failures = _feed(args, cores, folder)
    title = f"{args.count:,} rows of {args.side_px}x{args.side_px}x3, {source}"
    page.publish(
        "pixel-encoding",
        "Encodings of the pixels of a dataset",
        [
            f"## {title}",
            _format_feeds(row_bytes, costs),
            "## One image on one core",
            _format_codecs(rows[:_CODED], raw),
            "## JPEG with and without subsampled colour",
            _format_samplings(rows[:_CODED]),
        ],
        [
            *failures,
            f"The rows repeat {len(rows):,} different images.",
            "Feed: train.cache none, batches of 64 that are consumed inside TensorFlow's graph; "
            "one process, pinned to its cores; warm page cache.",
            f"Medians of {args.rounds} passes that alternate between all ways, after one that does "
            "not count; ratios are medians of the ratios within a round.",
            f"JPEG: quality {raw.jpeg_quality}, 4:4:4, where nothing else is stated. PSNR: of all "
            f"pixels of {min(_CODED, len(rows))} images, compared with the raw ones.",
        ],
        {
            "row_bytes": row_bytes,
            "passes": {
                str(way): {turn: cost._asdict() for turn, cost in taken.items()}
                for way, taken in costs.items()
            },
        },
        {name: version(name) for name in ("tensorflow", "petastorm")},
    )
    return 1 if failures else 0


def _read_pictures(args: argparse.Namespace, spec: PixelSpec) -> np.ndarray:
    """Return different images, resized as preprocess does it: (images, height, width, 3) uint8."""
    if args.images is None:
        files = (pictures.draw_jpeg(n, _DRAWN_SIDE_PX) for n in range(args.different))
    else:
        names = pictures.list_images(args.images)
        names = names[:: max(1, len(names) // args.different)][: args.different]
        files = ((args.images / name).read_bytes() for name in names)
    decoded = []
    for data in files:
        try:
            decoded.append(images.decode(data, spec).pixels)
        except images.ImageRejectedError:
            continue
    if not decoded:
        raise SystemExit(f"error: {args.images} has no images that can be read")
    return np.stack(decoded)


def _repeat(pictures_: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return pictures_[rows % len(pictures_)]


def _feed(
    args: argparse.Namespace, cores: Sequence[int], folder: Path
) -> tuple[dict[Way, dict[int, PassCost]], list[str]]:
    """Make all passes; return their costs by way and round, and what failed."""
    ways = [Way(encoding, count) for encoding in _ENCODINGS for count in (1, 2)]
    environment = {**contestants.environment(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    costs: dict[Way, dict[int, PassCost]] = defaultdict(dict)
    failed: dict[Way, str] = {}
    with ExitStack() as stack:
        feeders: dict[Way, Feeding] = {
            way: stack.enter_context(
                feeding(
                    ["ours:streamed", str(folder / way.encoding), "", str(sys.maxsize)],
                    folder / f"{way}.log",
                    environment,
                    args.timeout_secs,
                    cores[: way.num_cores],
                )
            )
            for way in ways
        }
        # The first pass (-1) fills caches and lets TensorFlow trace; it does not count.
        for turn in range(-1, args.rounds):
            order = [way for way in ways if way not in failed]
            random.Random(f"{args.seed}:{turn}").shuffle(order)
            for way in order:
                try:
                    cost = feeders[way].run_pass()
                except FeedingError as error:
                    failed[way] = str(error)
                    continue
                if turn >= 0:
                    costs[way][turn] = cost
            print(f"round {turn + 1} of {args.rounds}", flush=True)
    return costs, [f"{way}: does not count: {reason}." for way, reason in failed.items()]


def _format_feeds(row_bytes: dict[str, float], costs: dict[Way, dict[int, PassCost]]) -> str:
    rates = {
        way: {turn: cost.rows / cost.secs for turn, cost in taken.items()}
        for way, taken in costs.items()
    }
    head = ["", "bytes/row", "of raw"]
    for count in (1, 2):
        cores = f"{count} core{'s' * (count > 1)}"
        head += [f"samples/s, {cores}", "min..max", "of raw"]
    rows = []
    for encoding in _ENCODINGS:
        size = row_bytes[encoding]
        row = [encoding, f"{size:,.0f}", f"{size / row_bytes['raw']:.2f}"]
        for count in (1, 2):
            taken = rates.get(Way(encoding, count), {})
            if not taken:
                row += ["", "", ""]
                continue
            least, most = min(taken.values()), max(taken.values())
            row += [
                page.format_rate(statistics.median(taken.values())),
                f"{page.format_rate(least)}..{page.format_rate(most)}",
                page.median_ratio(taken, rates.get(Way("raw", count), {})),
            ]
        rows.append(row)
    return page.format_table(head, rows)


def _format_codecs(rows: np.ndarray, raw: PixelSpec) -> str:
    lines = []
    for encoding in ("jpeg", "png"):
        spec = raw.model_copy(update={"encoding": encoding})
        stored, encode_secs = _time([partial(images.encode_pixels, row, spec) for row in rows])
        _, decode_secs = _time([partial(images.decode_pixels, data, spec) for data in stored])
        lines.append([encoding, f"{encode_secs * 1e3:.2f}", f"{decode_secs * 1e3:.2f}"])
    return page.format_table(["", "ms to encode", "ms to decode"], lines)


def _time(calls: Sequence[partial]) -> tuple[list[bytes], float]:
    """Return the results of all calls, and the median time of one."""
    results, secs = [], []
    for call in calls:
        start = time.perf_counter()
        results.append(call())
        secs.append(time.perf_counter() - start)
    return results, statistics.median(secs)


def _format_samplings(rows: np.ndarray) -> str:
    lines = []
    for quality in _QUALITIES:
        for name, factor in _SAMPLINGS.items():
            parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]
            parameters += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
            stored = [cv2.imencode(".jpg", row, parameters)[1] for row in rows[..., ::-1]]
            seen = np.stack([cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) for data in stored])
            error = np.square(seen.astype(np.float32) - rows).mean()
            size = statistics.mean(len(data) for data in stored)
            psnr = 10 * math.log10(255**2 / max(error, 1e-9))
            lines.append([f"quality {quality}, {name}", f"{size:,.0f}", f"{psnr:.1f}"])
    return page.format_table(["", "bytes/image", "PSNR, dB"], lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000, help="number of rows (2000)")
    parser.add_argument("--side-px", type=int, default=224, help="side of the images (224)")
    parser.add_argument("--images", type=Path, help="folder of images; default: drawn ones")
    parser.add_argument("--different", type=int, default=500, help="different images (500)")
    parser.add_argument("--rounds", type=int, default=7, help="passes of each way (7)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the order within a round (7)")
    parser.add_argument("--timeout-secs", type=float, default=300, help="limit of one pass (300)")
    parser.add_argument(
        "--work", type=Path, default=_HERE / ".work", help="folder of rows and logs"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
