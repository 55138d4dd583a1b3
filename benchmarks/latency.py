"""Small images from a far-away S3 store: Halftone beside Spark's binaryFile over s3a.

    python benchmarks/latency.py --count 2000 --rounds 3

A real S3 server answers on this machine, and a proxy in front of it holds every answer back for 50
milliseconds. The datasets are written to the local disk. See benchmarks/README.md.
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
_HADOOP_AWS = "org.apache.hadoop:hadoop-aws:3.3.4"  # of the Hadoop that pyspark 3.5 brings
_BUCKET = "pictures"
_LEGEND = {
    "halftone": "jobs/preprocess.py on s3://, through fsspec and s3fs",
    "binaryfile": f"Spark's binaryFile + mapInPandas on s3a:// ({_HADOOP_AWS}), default settings",
}


class Store(NamedTuple):
    """The store as the contestants see it: through the proxy."""

    proxy: DelayProxy
    jars: list[Path]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.proxy.port}"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Returns the exit code: 0 all runs counted, 1 some did not."""
    asked = _parser().parse_args(argv)
    if shutil.which(asked.server) is None:
        raise SystemExit(f"error: no S3 server at {asked.server}; make one with\n  {INSTALL}")
    asked.work = asked.work.resolve()
    asked.work.mkdir(parents=True, exist_ok=True)
    folder = pictures.drawn(asked.work, asked.count, asked.size_px)
    jars = _jars(asked.work)
    with s3_server(asked.server, asked.work) as port:
        upload(port, folder, pictures.found(folder), _BUCKET)
        with delay_proxy(port, asked.delay_ms / 1000) as proxy:
            store = Store(proxy, jars)
            with measure.run_folder(asked.work) as scratch:
                runs, requests = _run_all(asked, store, scratch)
    table = results.Table(
        title=f"{asked.count:,} JPEGs of {asked.size_px}x{asked.size_px} px from S3, "
        f"{asked.delay_ms} ms away",
        runs=runs,
        baseline="binaryfile",
        legend=_LEGEND,
        skipped={},
        notes=[
            f"A versitygw on loopback behind a proxy that delays every answer by {asked.delay_ms} "
            "ms; images drawn (synthetic); datasets written to the local disk.",
            *(f"{name}: {count:,} requests in its last run." for name, count in requests.items()),
        ],
    )
    versions = {"s3fs": version("s3fs"), "hadoop-aws": _HADOOP_AWS.rpartition(":")[2]}
    results.publish(table, f"latency-{asked.count}x{asked.size_px}-{asked.delay_ms}ms", versions)
    return 0 if all(run.error is None for run in runs) else 1


def _jars(work: Path) -> list[Path]:
    """Fetch hadoop-aws and what it needs through Ivy, once, before anything is timed.

    They go onto the class path as they are: --packages would copy 280 MB at every start.
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
    asked: argparse.Namespace, store: Store, folder: Path
) -> tuple[list[results.Entry], dict[str, int]]:
    shuffle = random.Random(asked.seed).sample
    chosen = [name for name in _LEGEND if asked.only in (None, name)]
    runs, requests = [], {}
    for turn in range(asked.rounds):
        for name in shuffle(chosen, len(chosen)):
            before = store.proxy.requests
            entry = _run_one(asked, store, name, turn, folder)
            requests[name] = store.proxy.requests - before
            print(results.one_line(entry), flush=True)
            runs.append(entry)
    return runs, requests


def _run_one(
    asked: argparse.Namespace, store: Store, name: str, turn: int, folder: Path
) -> results.Entry:
    output, log = folder / name, folder / f"{name}-{turn + 1}.log"
    command = _halftone(output) if name == "halftone" else _binaryfile(asked, store, output)
    environment = {**contestants.environment(), **_credentials(store)}
    run = measure.run(command, log, environment, asked.timeout_secs)
    counted = outputs.count_dataset if name == "halftone" else outputs.count_rows
    error, aside = outputs.check(run, output, asked.count, counted)
    outputs.clear(output, log, keep_log=error is not None)
    return results.Entry(name, turn, asked.count, run, error, aside)


def _credentials(store: Store) -> dict[str, str]:
    """Return what fsspec reads for s3://, and what Hadoop's AWS library reads for s3a://."""
    return {
        "FSSPEC_S3_ENDPOINT_URL": store.url,
        "FSSPEC_S3_KEY": KEY,
        "FSSPEC_S3_SECRET": SECRET,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
    }


def _halftone(output: Path) -> list[str]:
    return contestants.halftone_job(f"s3://{_BUCKET}", output)


def _binaryfile(asked: argparse.Namespace, store: Store, output: Path) -> list[str]:
    settings = {
        "fs.s3a.endpoint": store.url,
        "fs.s3a.path.style.access": "true",
        "fs.s3a.connection.ssl.enabled": "false",
    }
    options = ["--driver-class-path", ":".join(map(str, store.jars))]
    for key, value in settings.items():
        options += ["--conf", f"spark.hadoop.{key}={value}"]
    images = f"s3a://{_BUCKET}/"
    return contestants.spark_peer("binaryfile.py", images, output, asked.count, *options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000, help="images (2000)")
    parser.add_argument("--size-px", type=int, default=64, help="side of an image (64)")
    parser.add_argument("--delay-ms", type=int, default=50, help="before each answer (50)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--only", choices=sorted(_LEGEND))
    parser.add_argument("--seed", type=int, default=7, help="of the order within a round")
    parser.add_argument("--timeout-secs", type=float, default=3600, help="for one run (3600)")
    parser.add_argument("--work", type=Path, default=_HERE / ".work", help="drawn files and logs")
    parser.add_argument(
        "--server", type=Path, default=program(), metavar="PROGRAM", help="a versitygw"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
