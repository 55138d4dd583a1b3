"""Small images from a distant S3 store: compare Halftone with Spark's binaryFile over s3a.

    python benchmarks/latency.py --count 2000 --rounds 3

A real S3 server runs on this machine, behind a proxy that delays every response by 50 milliseconds.
The datasets are written to the local disk. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Optional

import contestants
import measure
import outputs
import pictures
import results
from delay_proxy import DelayProxy, delay_proxy
from s3_server import INSTALL, KEY, REGION, SECRET, program, s3_server, upload

_HERE = Path(__file__).resolve().parent
_HADOOP_AWS = "org.apache.hadoop:hadoop-aws:3.3.4"  # the version of the Hadoop in pyspark 3.5
_BUCKET = "pictures"
_LEGEND = {
    "halftone": "jobs/preprocess.py on s3://, through fsspec and s3fs",
    "binaryfile": f"Spark's binaryFile + mapInPandas on s3a:// ({_HADOOP_AWS}), default settings",
}


class Store(NamedTuple):
    """The store, accessed through the proxy."""

    proxy: DelayProxy
    jars: list[Path]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.proxy.port}"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return exit code 0 if all runs count, else 1."""
    args = _parser().parse_args(argv)
    if shutil.which(args.server) is None:
        raise SystemExit(f"error: no S3 server at {args.server}; build one with\n  {INSTALL}")
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    folder = pictures.draw_images(args.work, args.count, args.size_px)
    jars = _fetch_jars(args.work)
    with s3_server(args.server, args.work) as port:
        upload(port, folder, pictures.list_images(folder), _BUCKET)
        with delay_proxy(port, args.delay_ms / 1000) as proxy:
            store = Store(proxy, jars)
            with measure.run_folder(args.work) as scratch:
                runs, requests = _run_all(args, store, scratch)
    table = results.Table(
        title=f"{args.count:,} JPEGs of {args.size_px}x{args.size_px} px from S3, "
        f"{args.delay_ms} ms away",
        runs=runs,
        baseline="binaryfile",
        legend=_LEGEND,
        skipped={},
        notes=[
            f"A versitygw on loopback behind a proxy that delays every response by {args.delay_ms} "
            "ms; images drawn (synthetic); datasets written to the local disk.",
            *(f"{name}: {count:,} requests in its last run." for name, count in requests.items()),
        ],
    )
    versions = {"s3fs": version("s3fs"), "hadoop-aws": _HADOOP_AWS.rpartition(":")[2]}
    results.publish(table, f"latency-{args.count}x{args.size_px}-{args.delay_ms}ms", versions)
    return 0 if all(run.error is None for run in runs) else 1


def _fetch_jars(work: Path) -> list[Path]:
    """Fetch hadoop-aws and its dependencies through Ivy, once, before the timed runs.

    They are put on the class path directly: --packages would copy 280 MB at every start.
    """
    ivy = work / "ivy"
    if not list(ivy.glob("jars/*.jar")):
        print(f"fetching {_HADOOP_AWS}", flush=True)
        submit = contestants.spark_submit("--packages", _HADOOP_AWS)
        command = [*submit, "--conf", f"spark.jars.ivy={ivy}", str(_HERE / "peers" / "nothing.py")]
        run = measure.run(command, work / "ivy.log", contestants.environment(), 1800)
        if run.exit_code != 0:
            shutil.rmtree(ivy, ignore_errors=True)
            raise SystemExit(f"error: {_HADOOP_AWS} was not fetched; see ivy.log in {work.name}")
    return sorted(ivy.glob("jars/*.jar"))


def _run_all(
    args: argparse.Namespace, store: Store, folder: Path
) -> tuple[list[results.Entry], dict[str, int]]:
    shuffle = random.Random(args.seed).sample
    names = [name for name in _LEGEND if args.only in (None, name)]
    runs, requests = [], {}
    for turn in range(args.rounds):
        for name in shuffle(names, len(names)):
            before = store.proxy.requests
            entry = _run_one(args, store, name, turn, folder)
            requests[name] = store.proxy.requests - before
            print(results.format_run(entry), flush=True)
            runs.append(entry)
    return runs, requests


def _run_one(
    args: argparse.Namespace, store: Store, name: str, turn: int, folder: Path
) -> results.Entry:
    output, log = folder / name, folder / f"{name}-{turn + 1}.log"
    command = (
        _halftone_command(output)
        if name == "halftone"
        else _binaryfile_command(args, store, output)
    )
    environment = {**contestants.environment(), **_credentials(store)}
    run = measure.run(command, log, environment, args.timeout_secs)
    count_output = outputs.count_dataset if name == "halftone" else outputs.count_rows
    error, non_rows = outputs.check_run(run, output, args.count, count_output)
    outputs.clear(output, log, keep_log=error is not None)
    return results.Entry(name, turn, args.count, run, error, non_rows)


def _credentials(store: Store) -> dict[str, str]:
    """Return the variables that fsspec reads for s3://, and Hadoop's AWS library for s3a://."""
    return {
        "FSSPEC_S3_ENDPOINT_URL": store.url,
        "FSSPEC_S3_KEY": KEY,
        "FSSPEC_S3_SECRET": SECRET,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
    }


def _halftone_command(output: Path) -> list[str]:
    return contestants.halftone_job(f"s3://{_BUCKET}", output)


def _binaryfile_command(args: argparse.Namespace, store: Store, output: Path) -> list[str]:
    settings = {
        "fs.s3a.endpoint": store.url,
        "fs.s3a.path.style.access": "true",
        "fs.s3a.connection.ssl.enabled": "false",
    }
    options = ["--driver-class-path", ":".join(map(str, store.jars))]
    for key, value in settings.items():
        options += ["--conf", f"spark.hadoop.{key}={value}"]
    images = f"s3a://{_BUCKET}/"
    return contestants.spark_peer("binaryfile.py", images, output, args.count, *options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000, help="number of images (2000)")
    parser.add_argument("--size-px", type=int, default=64, help="side of an image (64)")
    parser.add_argument("--delay-ms", type=int, default=50, help="delay of each response (50)")
    parser.add_argument("--rounds", type=int, default=3, help="number of runs of each (3)")
    parser.add_argument("--only", choices=sorted(_LEGEND))
    parser.add_argument("--seed", type=int, default=7, help="seed of the order within a round (7)")
    parser.add_argument("--timeout-secs", type=float, default=3600, help="limit of one run (3600)")
    parser.add_argument(
        "--work", type=Path, default=_HERE / ".work", help="folder of drawn files and logs"
    )
    parser.add_argument(
        "--server", type=Path, default=program(), metavar="PROGRAM", help="the versitygw executable"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
