"""The same small images as objects of a distant store, and as members of a tar archive there.

    python benchmarks/archives.py --count 3000 --rounds 3

One process does what a task of preprocess does: it lists the images, and decodes them block by
block, with blocks as large as those of --of images. Each response of the store comes --delay-ms
late. Objects and archive alternate; the figures are medians. Images of --side px are drawn as JPEG.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import cv2
import numpy as np
import pyarrow as pa

from delay_proxy import DelayProxy, delay_proxy
from halftone.config import PixelSpec
from halftone.listing import (
    MEMBER_PLACE,
    ArchiveSettings,
    UnitRemarks,
    add_archives,
    list_unit,
    plan_listing,
)
from halftone.preprocess.decode_block import OK, STATUS, decode_images
from halftone.preprocess.staging import count_blocks
from halftone.storage import clients
from s3_server import KEY, REGION, SECRET, program, s3_server, upload

_SPEC = PixelSpec(height_px=64, width_px=64, channels=3)
_KINDS = ("objects", "archive")
_RUNS_PER_BLOCK = 4  # as staging


class _Times(NamedTuple):
    list_secs: float
    read_secs: float
    requests: int


def main(argv: Optional[Sequence[str]] = None) -> int:
    args = _parser().parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        work = Path(folder)
        names = _draw_images(work / "images", args.count, args.side)
        os.environ.update(
            AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_DEFAULT_REGION=REGION
        )
        with s3_server(args.server, work) as port:
            upload(port, work / "images", names, "objects")
            upload(port, work, ["images.tar"], "archive")
            with delay_proxy(port, args.delay_ms / 1000) as proxy:
                clients.set_options({"s3": {"endpoint_url": f"http://127.0.0.1:{proxy.port}"}})
                # Forked processes and threads do not mix: the client opens its threads here.
                _measure_all(args, proxy)
    return 0


def _draw_images(folder: Path, count: int, side_px: int) -> list[str]:
    """Draw images, also into images.tar beside the folder; return their names."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    names = [f"{'cat' if number % 2 else 'dog'}-{number:06d}.jpg" for number in range(count)]
    with tarfile.open(folder.parent / "images.tar", "w") as tar:
        for name in names:
            coarse = rng.integers(0, 255, (side_px // 4, side_px // 4, 3), dtype=np.uint8)
            picture = cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
            data = cv2.imencode(".jpg", picture)[1].tobytes()
            (folder / name).write_bytes(data)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return names


def _measure_all(args: argparse.Namespace, proxy: DelayProxy) -> None:
    times: dict[str, list[_Times]] = {kind: [] for kind in _KINDS}
    for number in range(args.rounds):
        for kind in _KINDS if number % 2 else reversed(_KINDS):
            times[kind].append(_measure(args, kind, proxy))
            print(f"round {number + 1}, {kind}: {times[kind][-1]}", flush=True)
    print(f"{args.count:,} JPEGs of {args.side} px, {args.delay_ms} ms, {args.threads} threads")
    rates = {}
    for kind in _KINDS:
        list_secs, read_secs, requests = map(statistics.median, zip(*times[kind]))
        rates[kind] = args.count / read_secs
        print(
            f"{kind}: listed in {list_secs:.2f} s, read and decoded at "
            f"{rates[kind]:,.0f} images/s, {requests:,.0f} requests"
        )
    print(f"ratio of the rates: {rates['archive'] / rates['objects']:.2f}")


def _measure(args: argparse.Namespace, kind: str, proxy: DelayProxy) -> _Times:
    requests, started = proxy.requests, time.monotonic()
    listed = _list(f"s3://{kind}")
    listed_at = time.monotonic()
    block_rows = -(-args.of // count_blocks(args.of, _SPEC))
    if kind == "archive":
        listed = _shuffle_runs(listed, max(1, block_rows // _RUNS_PER_BLOCK))
    num_decoded = 0
    for start in range(0, listed.num_rows, block_rows):
        block = listed.slice(start, block_rows)
        part = decode_images(f"s3://{kind}", block, _SPEC, args.threads)
        num_decoded += part[STATUS].to_pylist().count(OK)
    read_at = time.monotonic()
    if num_decoded != args.count:
        raise SystemExit(f"error: {num_decoded} of {args.count} images were decoded")
    return _Times(listed_at - started, read_at - listed_at, proxy.requests - requests)


def _list(root: str) -> pa.Table:
    """List the images as ENTRIES, as far as decoding needs them."""
    plan = plan_listing(root, None, ["jpg"], archives=ArchiveSettings("auto"))
    remarks = UnitRemarks()
    tables = [each for unit in plan.units.to_pylist() for each in list_unit(plan, remarks, **unit)]
    complete = add_archives(plan, [remarks])
    for unit in complete.units.to_pylist()[plan.units.num_rows :]:
        tables += list_unit(complete, remarks, **unit)
    listed = pa.concat_tables(tables).combine_chunks()
    return listed.set_column(
        listed.column_names.index("split"), "split", pa.array([0] * listed.num_rows, pa.int8())
    )


def _shuffle_runs(listed: pa.Table, run_rows: int) -> pa.Table:
    """Shuffle runs of neighbours, so that a block has some that lie apart, as in Spark."""
    assert all(listed[MEMBER_PLACE].to_pylist())
    starts = np.arange(0, listed.num_rows, run_rows)
    np.random.default_rng(1).shuffle(starts)
    return pa.concat_tables([listed.slice(start, run_rows) for start in starts]).combine_chunks()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--of", type=int, default=100_000, help="images whose blocks are taken")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay-ms", type=float, default=50)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--server", type=Path, default=program())
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
