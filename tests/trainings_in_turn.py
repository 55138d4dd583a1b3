"""Trainings one after the other in the same process or ranks, which import TensorFlow once."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any, NamedTuple, Optional

from training_jobs import MODEL


class Turn(NamedTuple):
    """A training of `train_in_turn`."""

    output: str  # name of its folder
    train: dict[str, Any]  # settings of train that differ from those of the fixture `start`
    stop_at_check: Optional[int] = None  # rank 0 is asked to stop when it looks for the nth time
    start_at: str = ""  # name of the output from whose checkpoints it starts
    dataset: Optional[Path] = None  # another one than that of all


def train_in_turn(folder: Path, dataset: Path, *turns: Turn, ranks: int = 1) -> list[str]:
    """Train below `folder`, and return what rank 0 printed in each turn, and its error."""
    jobs = [
        {**turn._asdict(), "output": str(folder / turn.output), "dataset": str(turn.dataset)}
        for turn in turns
    ]
    for job in jobs:
        job["train"] = {"epochs": 4, "batch_size": 16, "model": MODEL, **job["train"]}
        job["train"]["ranks"] = ranks
        if job["dataset"] == "None":
            job["dataset"] = str(dataset)
        if job["start_at"]:
            job["start_at"] = str(folder / job["start_at"])
    path = folder / "turns.json"
    path.write_text(json.dumps(jobs))
    launcher = [sys.executable, "-m", "horovod.runner.launch", "--gloo", "-np", str(ranks)]
    process = subprocess.run(
        [*(launcher if ranks > 1 else []), sys.executable, __file__, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return [Path(f"{job['output']}.rank-0.txt").read_text() for job in jobs]


def _train_all(path: str) -> None:
    """What each rank does."""
    import shutil

    from halftone import config, logs
    from halftone.dataset import manifest
    from halftone.errors import InputError, RunError
    from halftone.feed import world
    from halftone.launch.train import train_model
    from halftone.training import determinism, epoch_callback, stop_flag
    from halftone.training.fit import fit_rank

    logs.start(libraries=False)
    this_world = world.detect_world()
    if not this_world.is_first:
        # The clocks of the other ranks run 100 times as fast: ranks that relied on their own clock
        # would not check for alerts at the same steps.
        clock = types.SimpleNamespace(monotonic=lambda: time.monotonic() * 100)
        epoch_callback.time = clock  # type: ignore[assignment]
    is_set = stop_flag.StopFlag.is_set
    for job in json.loads(Path(path).read_text()):
        dataset, output = job["dataset"], job["output"]
        settings = {"seed": 7, "tracking": {"enabled": False}, "train": job["train"]}
        loaded = config.config_from_mapping(settings, source="turn")
        if job["start_at"] and this_world.is_first:
            shutil.copytree(f"{job['start_at']}/checkpoints", f"{output}/checkpoints")
        checks = itertools.count(1)
        stop_flag.StopFlag.is_set = (  # type: ignore[method-assign]
            (
                lambda _, checks=checks, at=job["stop_at_check"]: (
                    this_world.is_first and next(checks) >= at
                )
            )
            if job["stop_at_check"]
            else is_set
        )
        determinism.forget_models()
        with (
            open(f"{output}.rank-{this_world.rank}.txt", "w") as file,
            contextlib.redirect_stdout(file),
            contextlib.redirect_stderr(file),
        ):
            try:
                if this_world.size == 1 and not job["stop_at_check"]:
                    train_model(loaded, dataset, output, lambda: sys.exit("needs no Spark"))
                else:
                    data = manifest.read_manifest(dataset)
                    fit_rank(loaded, data, dataset, output, this_world)
            except (InputError, RunError) as error:
                print(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    _train_all(sys.argv[1])
