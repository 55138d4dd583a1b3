"""`mlflow models serve` with a model of Halftone: latency of one image, throughput of batches.

    python benchmarks/serving.py --rounds 3

The client runs on the same machine and sends drawn JPEGs as base64 in JSON. See
benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Optional

import yaml

import contestants
import measure
import page
import pictures
import synthetic

_HERE = Path(__file__).resolve().parent
_SHAPE = (64, 64, 1)
_TRAIN_ROWS = 256  # to create a model; its accuracy does not matter here
_NETWORK = {"name": "convnet", "filters": [32], "dense": [8]}
_BATCH_IMAGES = 32
_NUMS_WORKERS = (1, 2)
_START_SECS = 120
_WARM_UP_REQUESTS = 20
# More requests than workers at a time, so that no worker waits for the client.
_REQUESTS_PER_WORKER = 2


class Round(NamedTuple):
    """What was measured with one server."""

    turn: int
    num_workers: int
    latencies_secs: list[float]  # of requests of one image, one after another
    images_per_sec: float  # of requests of _BATCH_IMAGES images


class Client:
    """A connection to the server that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._connection.connect()

    def invoke(self, body: bytes) -> float:
        """Send a request; return the seconds until its answer has been read."""
        start = time.perf_counter()
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/invocations", body, headers)
        # With several workers, uvicorn sends an answer in two pieces and waits between them until
        # the first is acknowledged, which a client puts off for 40 ms. Linux forgets this option.
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        answer = self._connection.getresponse()
        content = answer.read()
        secs = time.perf_counter() - start
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}: {content[:200]!r}")
        return secs


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return exit code 0."""
    args = _parser().parse_args(argv)
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    folder = pictures.draw_images(args.work, args.count, args.size_px)
    files = [(folder / name).read_bytes() for name in pictures.list_images(folder)]
    rounds = []
    with measure.run_folder(args.work) as run_folder:
        work = run_folder / "serving"
        work.mkdir()
        model = _make_model(work)
        for turn in range(args.rounds):
            for num_workers in _NUMS_WORKERS:
                log = work / "server.log"
                with _server(model, num_workers, log) as port:
                    measured = _measure(port, files, turn, num_workers, args)
                rounds.append(measured)
                print(f"round {turn + 1}  {_describe(measured)}", flush=True)
        shutil.rmtree(work)
    page.publish(
        "serving",
        "Serving",
        [_table(rounds)],
        _remarks(args, files),
        {"runs": [measured._asdict() for measured in rounds]},
        {"tensorflow": version("tensorflow"), "mlflow": version("mlflow")},
    )
    return 0


def _make_model(work: Path) -> Path:
    """Train a small network; return the folder of its MLflow model."""
    from halftone.serving.mlflow_folder import write_mlflow_model

    dataset, model, config = work / "dataset", work / "model", work / "config.yaml"
    synthetic.write_dataset(dataset, _TRAIN_ROWS, _SHAPE)
    train = {"model": _NETWORK, "epochs": 1}
    config.write_text(
        yaml.safe_dump({"name": "serving", "tracking": {"enabled": False}, "train": train})
    )
    job = [sys.executable, str(_HERE.parent / "jobs" / "train.py"), "--config", str(config)]
    subprocess.run(
        [*job, "--dataset", str(dataset), "--output", str(model)],
        env=contestants.environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    write_mlflow_model(str(model), work / "mlflow", "0" * 32, "model")
    return work / "mlflow"


@contextmanager
def _server(model: Path, num_workers: int, log: Path) -> Iterator[int]:
    """Run `mlflow models serve`; yield its port when all workers have loaded the model."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = int(unused.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(model)]
    command += ["--env-manager", "local", "--port", str(port), "--workers", str(num_workers)]
    threads = max(1, (os.cpu_count() or 1) // num_workers)
    environment = {
        **contestants.environment(),
        "MLFLOW_PYFUNC_INFERENCE_CONFIG": json.dumps({"threads": threads}),
    }
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            _wait_until_started(log, num_workers)
            yield port
        finally:
            measure.kill_group(process)


def _wait_until_started(log: Path, num_workers: int) -> None:
    deadline = time.monotonic() + _START_SECS
    while log.read_text(errors="replace").count("Application startup complete") < num_workers:
        if time.monotonic() > deadline:
            raise SystemExit(f"error: the server did not start; {log} says why")
        time.sleep(0.2)


def _measure(
    port: int, files: Sequence[bytes], turn: int, num_workers: int, args: argparse.Namespace
) -> Round:
    singles = [_request([content]) for content in files]
    batches = [
        _request([files[(start + number) % len(files)] for number in range(_BATCH_IMAGES)])
        for start in range(0, len(files), _BATCH_IMAGES)
    ]
    num_clients = num_workers * _REQUESTS_PER_WORKER
    clients = [Client(port) for _ in range(num_clients)]
    with ThreadPoolExecutor(num_clients) as pool:

        def send(bodies: Sequence[bytes], count: int) -> float:
            """Send requests from all clients; return the seconds until all are answered."""
            start = time.perf_counter()

            def send_some(index: int) -> None:
                for number in range(index, count, num_clients):
                    clients[index].invoke(bodies[number % len(bodies)])

            list(pool.map(send_some, range(num_clients)))
            return time.perf_counter() - start

        send(singles, _WARM_UP_REQUESTS * num_clients)
        send(batches, _WARM_UP_REQUESTS * num_clients)
        latencies = [
            clients[0].invoke(singles[number % len(singles)]) for number in range(args.requests)
        ]
        num_batches = max(num_clients, args.requests // 4)
        secs = send(batches, num_batches)
    return Round(turn, num_workers, latencies, num_batches * _BATCH_IMAGES / secs)


def _request(files: Sequence[bytes]) -> bytes:
    records = [{"image": base64.b64encode(content).decode()} for content in files]
    return json.dumps({"dataframe_records": records}).encode()


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _describe(measured: Round) -> str:
    latencies = (_percentile(measured.latencies_secs, percent) * 1e3 for percent in (50, 95))
    p50, p95 = (f"{latency:.1f} ms" for latency in latencies)
    rate = page.format_rate(measured.images_per_sec)
    return f"{measured.num_workers} workers  p50 {p50}  p95 {p95}  {rate} images/s"


def _table(rounds: Sequence[Round]) -> str:
    rows = []
    for num_workers in _NUMS_WORKERS:
        own = [measured for measured in rounds if measured.num_workers == num_workers]
        cells = [
            f"{statistics.median(_percentile(r.latencies_secs, percent) for r in own) * 1e3:.1f}"
            for percent in (50, 95)
        ]
        rates = [measured.images_per_sec for measured in own]
        cells += [
            page.format_rate(statistics.median(rates)),
            f"{page.format_rate(min(rates))}..{page.format_rate(max(rates))}",
        ]
        rows.append([str(num_workers), *cells, str(len(own))])
    head = ["workers", "1 image: p50, ms", "p95, ms", "images/s", "min..max", "runs"]
    return page.format_table(head, rows)


def _remarks(args: argparse.Namespace, files: Sequence[bytes]) -> list[str]:
    mean_kib = statistics.mean(map(len, files)) / 1024
    return [
        f"mlflow models serve, env-manager local. Drawn JPEGs of {args.size_px}x{args.size_px} px "
        f"({mean_kib:.0f} KiB in the mean) to {_SHAPE[0]}x{_SHAPE[1]} grey, a network of one "
        "convolution of 32 filters.",
        f"Latency: {args.requests} requests of one image, one after another. Throughput: requests "
        f"of {_BATCH_IMAGES} images, {_REQUESTS_PER_WORKER} at a time for each worker; the client "
        "runs on the same cores. It acknowledges at once (TCP_QUICKACK). Medians of the rounds.",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="servers of each kind (3)")
    parser.add_argument("--requests", type=int, default=400, help="of one image (400)")
    parser.add_argument("--count", type=int, default=256, help="different images (256)")
    parser.add_argument("--size-px", type=int, default=256, help="side of the images (256)")
    parser.add_argument(
        "--work", type=Path, default=_HERE / ".work", help="folder of images and logs"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
