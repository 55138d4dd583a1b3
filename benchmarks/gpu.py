"""Training on GPUs: images/s, waiting for the feed, memory, and what must hold there.

    python benchmarks/gpu.py               # needs a GPU
    python benchmarks/gpu.py --dry-run     # all of it on the CPU, with small networks and images

All are runs of jobs/train.py, whose ranks are processes of their own. The default network, VGG-13
and ResNet-50 train on drawn images of 224x224x3, in float32 and mixed precision, on one rank and on
two. In each training the feeds take turns by epoch: Halftone's, streamed and kept in memory, the
same rows as tensors in memory, and one batch again and again. The share of a step that waits for a
feed is 1 - secs(one batch) / secs(feed), of epochs of the same round. With one card two ranks share
it, by MPS or time slicing; that they cannot is reported and is no failure.

Checks: every rank took its own card; the driver took none; the metrics of a short training equal
those of the same training on the CPU to 1e-3; a training that is killed resumes, with the same
metrics. The last line is the verdict; exit code 1 if a check or a training failed, 2 without a GPU.
See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Optional

import choice
import contestants
import gpu_cards
import gpu_checks
import gpu_rates
import gpu_runs
import measure
import page
from gpu_checks import FAILED, NOT_CHECKED, Check
from gpu_networks import NETWORKS, Network
from gpu_rates import Rates
from gpu_runs import Job, Training, TrainingError

_HERE = Path(__file__).resolve().parent
_COMPARED_BATCH = 32
_MIB = 2**20


class Sizes(NamedTuple):
    side_px: int
    rows: int  # per epoch of a measured training
    rank_batch: int  # rows per step and rank
    rounds: int
    compared_side_px: int


_FULL = Sizes(side_px=224, rows=4096, rank_batch=64, rounds=3, compared_side_px=64)
_SMALL = Sizes(side_px=32, rows=64, rank_batch=8, rounds=1, compared_side_px=32)


class Measured(NamedTuple):
    """One measured training that ended well."""

    label: str
    rates: Rates
    training: Training


class Bench:
    """Runs the trainings and judges them; without cards in the dry run."""

    def __init__(self, args: argparse.Namespace, sizes: Sizes, cards: list[str], folder: Path):
        self._args, self._sizes, self._folder = args, sizes, folder
        self._cards = cards
        self._networks: list[Network] = choice.select(args.only, NETWORKS)
        self._first_reference: Optional[Training] = None
        self.measured: list[Measured] = []
        self.notes: list[str] = []
        self.checks: list[Check] = []

    def measure_all(self) -> None:
        """Run the measured trainings."""
        dataset = self._folder / "rows"
        gpu_runs.write_rows(dataset, self._sizes.rows, self._sizes.side_px)
        for network in self._networks:
            for precision in self._args.precisions:
                for ranks in self._args.ranks:
                    self._measure(network, precision, ranks, dataset)
        trainings = {
            run.label: (run.training.records, run.training.observation) for run in self.measured
        }
        self._add(gpu_checks.check_own_cards(trainings, len(self._cards)))
        self._add(gpu_checks.check_driver({name: seen for name, (_, seen) in trainings.items()}))

    def _measure(self, network: Network, precision: str, ranks: int, dataset: Path) -> None:
        sizes = self._sizes
        settings = {
            "epochs": len(gpu_rates.feed_order(sizes.rounds)),
            "batch_size": ranks * sizes.rank_batch,
            "ranks": ranks,
            "precision": precision,
            "cache": "none",
            "max_restarts": 0,
        }
        model = network.model_for(self._args.dry_run)
        name = f"{network.name}-{precision}-{ranks}"
        job = Job(name, model, dataset, settings, sizes.rounds, self._args.dry_run)
        label = f"{network.name}, {precision}, {ranks} rank{'s' * (ranks > 1)}"
        try:
            training = gpu_runs.train(job, self._folder, self._args.timeout_secs)
            rates = gpu_rates.measure_rates(training.epochs, sizes.rounds)
        except (TrainingError, ValueError) as error:
            self._note_failure(label, ranks, str(error))
            return
        if len(training.records) != ranks:
            self._note_failure(label, ranks, f"{len(training.records)} ranks wrote a record")
            return
        self.measured.append(Measured(label, rates, training))
        print(f"{label}: {page.format_rate(rates.images_per_sec['kept'])} images/s", flush=True)

    def _note_failure(self, label: str, ranks: int, reason: str) -> None:
        if 0 < len(self._cards) < ranks:
            self.notes.append(f"{label} on {len(self._cards)} card: does not go: {reason}")
            print(self.notes[-1], flush=True)
        else:
            self._add(Check(f"training {label}", FAILED, reason))

    def compare_all(self) -> None:
        """Compare a short training of each network with that on the CPU."""
        for network in self._networks:
            job = self._compared_job(network, f"{network.name}-compared")
            cpu_job = job._replace(name=f"{job.name}-cpu", on_cpu=True)
            gpu_runs.write_rows(job.dataset, network.compared_rows, self._sizes.compared_side_px)
            try:
                ours = gpu_runs.train(job, self._folder, self._args.timeout_secs)
                theirs = gpu_runs.train(cpu_job, self._folder, self._args.timeout_secs)
            except TrainingError as error:
                self._add(Check(f"{network.name}: training to compare", FAILED, str(error)))
                continue
            if network is self._networks[0]:
                self._first_reference = ours
            self._add(
                gpu_checks.check_compared(
                    network.name,
                    (ours.epochs, ours.records),
                    (theirs.epochs, theirs.records),
                    len(self._cards),
                )
            )

    def kill_and_resume(self) -> None:
        """Kill and resume the first network's training to compare, and compare it with that."""
        name = "a training that is killed resumes, with the same metrics"
        if self._first_reference is None:
            self._add(Check(name, NOT_CHECKED, "there is no training to compare with"))
            return
        job = self._compared_job(self._networks[0], "killed")
        job = job._replace(dataset=self._folder / f"{self._networks[0].name}-compared-rows")
        try:
            epochs, place = gpu_runs.kill_and_resume(job, self._folder, self._args.timeout_secs)
        except TrainingError as error:
            self._add(Check(name, FAILED, str(error)))
            return
        check = gpu_checks.check_equal_metrics(name, epochs, self._first_reference.epochs)
        self._add(check._replace(detail=f"resumed {place}; {check.detail}"))

    def _compared_job(self, network: Network, name: str) -> Job:
        settings = {
            "epochs": network.compared_epochs,
            "batch_size": _COMPARED_BATCH,
            # Adam divides by gradients: it makes differences of near 0 as large as steps.
            "optimizer": "sgd",
            "learning_rate": 0.01,
        }
        model = network.model_for(self._args.dry_run)
        dataset = self._folder / f"{name}-rows"
        return Job(name, model, dataset, settings, on_cpu=self._args.dry_run, is_compared=True)

    def _add(self, check: Check) -> None:
        self.checks.append(check if self._cards else gpu_checks.without_gpu(check))
        print(self.checks[-1], flush=True)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the benchmark; return its exit code."""
    args = _parser().parse_args(argv)
    sizes = _sizes(args)
    choice.select(args.only, NETWORKS)  # a wrong name ends here, before TensorFlow is asked
    cards = [] if args.dry_run else gpu_cards.find_cards(contestants.environment())
    if not cards and not args.dry_run:
        print(
            "error: TensorFlow finds no GPU on this machine, so nothing was measured or checked. "
            "It needs an NVIDIA driver and the CUDA libraries (pip install "
            "'tensorflow[and-cuda]==2.15.1'). --dry-run runs everything on the CPU",
            file=sys.stderr,
        )
        return 2
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    with measure.run_folder(args.work) as folder:
        bench = Bench(args, sizes, cards, folder)
        bench.measure_all()
        bench.compare_all()
        bench.kill_and_resume()
    _publish(bench, args, sizes, cards)
    line, is_good = gpu_checks.verdict(bench.checks, args.dry_run)
    print(line)
    return 0 if is_good else 1


def _publish(bench: Bench, args: argparse.Namespace, sizes: Sizes, cards: list[str]) -> None:
    """Print the table and the checks; without --dry-run, write them to results/ too."""
    table = _table(bench.measured)
    if args.dry_run:
        print(f"\nOn the CPU, with small networks: no figure of a GPU.\n\n{table}\n")
        return
    card_names = ", ".join(cards)
    remarks = [
        f"{len(cards)} card{'s' * (len(cards) > 1)}: {card_names}. More ranks than cards share one "
        f"by {gpu_cards.sharing()}.",
        f"Drawn images of {sizes.side_px}x{sizes.side_px}x3, {sizes.rows:,} per epoch, "
        f"{sizes.rank_batch} per step and rank; medians of {sizes.rounds} rounds.",
        *(f"{feed}: {description}." for feed, description in gpu_rates.FEEDS.items()),
        "waits: share of a step that is not needed with one batch again and again.",
        *(f"{network.name}: {network.description}." for network in NETWORKS),
        *(f"{line}." for line in [*bench.checks, *bench.notes]),
    ]
    record: dict[str, Any] = {
        "runs": [
            {
                **run._asdict(),
                "rates": run.rates._asdict(),
                "training": {
                    "epochs": run.training.epochs,
                    "ranks": [rank._asdict() for rank in run.training.records],
                    "card_peak_mib": run.training.observation.card_peak_mib,
                },
            }
            for run in bench.measured
        ],
        "checks": [check._asdict() for check in bench.checks],
    }
    versions = {name: version(name) for name in ("tensorflow", "horovod", "petastorm")}
    page.publish("gpu", "Training on GPUs", [table], remarks, record, versions)


def _table(measured: Sequence[Measured]) -> str:
    feeds = list(gpu_rates.FEEDS)
    rows = []
    for run in measured:
        peak_bytes = max(record.peak_bytes for record in run.training.records)
        card_mib = run.training.observation.card_peak_mib
        rows.append(
            [
                run.label,
                *(page.format_rate(run.rates.images_per_sec[feed]) for feed in feeds),
                *(f"{share:.0%}" for share in run.rates.waiting.values()),
                f"{peak_bytes / _MIB:,.0f}" if peak_bytes else "",
                f"{card_mib:,.0f}" if card_mib else "",
            ]
        )
    head = [f"images/s, {feeds[0]}", *feeds[1:]]
    head += [f"waits, {feed}" for feed in feeds if feed != gpu_rates.LIMIT]
    return page.format_table(["", *head, "tensors, MiB", "card, MiB"], rows)


def _sizes(args: argparse.Namespace) -> Sizes:
    """Return the sizes of the flags.

    Raises:
        SystemExit: a rank would have a batch that is not full.
    """
    sizes = _SMALL if args.dry_run else _FULL
    given = {"rows": args.rows, "rank_batch": args.rank_batch, "rounds": args.rounds}
    sizes = sizes._replace(**{name: value for name, value in given.items() if value is not None})
    if min(sizes) < 1:
        raise SystemExit("error: --rows, --rank-batch and --rounds must be 1 or more")
    for ranks in args.ranks:
        if sizes.rows % (ranks * sizes.rank_batch):
            raise SystemExit(
                f"error: --rows {sizes.rows} is not divisible by {ranks} x {sizes.rank_batch}, the "
                f"rows of a step of {ranks} ranks; give a multiple as --rows"
            )
    return sizes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(network.name for network in NETWORKS)
    parser.add_argument(
        "--dry-run", action="store_true", help="on the CPU, small networks, images of 32x32"
    )
    parser.add_argument("--only", metavar="NAME,...", help=f"some of {names}")
    parser.add_argument(
        "--precisions",
        type=lambda text: text.split(","),
        default=["float32", "mixed_float16"],
        help="values of train.precision (float32,mixed_float16)",
    )
    parser.add_argument(
        "--ranks",
        type=lambda text: [int(number) for number in text.split(",")],
        default=[1, 2],
        help="numbers of ranks (1,2)",
    )
    parser.add_argument("--rounds", type=int, help=f"of the feeds ({_FULL.rounds})")
    parser.add_argument("--rows", type=int, help=f"images per epoch ({_FULL.rows})")
    parser.add_argument("--rank-batch", type=int, help=f"per step and rank ({_FULL.rank_batch})")
    parser.add_argument("--timeout-secs", type=float, default=1800, help="of a training (1800)")
    parser.add_argument("--work", type=Path, default=_HERE / ".work", help="folder of its files")
    return parser


if __name__ == "__main__":
    sys.exit(main())
