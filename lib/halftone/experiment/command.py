"""An experiment from its file to its table."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any, Optional

from halftone import storage
from halftone.errors import RunError
from halftone.experiment import datasets, planning, spec, study, table
from halftone.session import spark_session


def run(
    path: str,
    images: Optional[str] = None,
    output: Optional[str] = None,
    epochs: Optional[int] = None,
    subset: Optional[int] = None,
) -> None:
    """Do all runs of the experiment in the file at `path`, and print and write its table.

    Args:
        images: instead of the file's base.paths.images.
        output: a local folder; default: out/experiments/ and the experiment's name.
        epochs: of every run, instead of its own.
        subset: take so many images only, as many of each class.

    Raises:
        InputError: the file, the images or what is at `output` is wrong; nothing was run.
        RunError: runs failed; each is named with its error and log. The others are in the table.
        StoppedError: SIGTERM; the same call goes on.
    """
    asked = spec.load(path)
    output = storage.normalise(output or f"out/experiments/{asked.name}")
    overrides: dict[str, Any] = {"paths.images": images, "train.epochs": epochs}
    base, trials = planning.plan(
        asked, path, {key: value for key, value in overrides.items() if value is not None}
    )
    if subset is not None:
        trials = [
            one._replace(config=datasets.with_subset(one.config, output, subset)) for one in trials
        ]
    study.check_place(trials, output)
    print(f"{asked.name}: {len(trials)} runs, {asked.parallel} at a time", flush=True)
    with ExitStack() as stack:
        session = partial(stack.enter_context, spark_session(f"{asked.name}: datasets", base.spark))
        made = datasets.make([one.config for one in trials], output, session)
    outcomes = study.run(trials, made, output, asked.parallel)
    shrunk = [
        f"--{name} {value:,}"
        for name, value in (("epochs", epochs), ("subset", subset))
        if value is not None
    ]
    print(table.write(asked, base, outcomes, output, shrunk), flush=True)
    failed = [one for one in outcomes if one.error]
    if failed:
        lines = [f"{len(failed)} of {len(outcomes)} runs; the same command tries them again"]
        lines += [f"  {one.trial.name}: {one.error}; its log is {one.log}" for one in failed]
        raise RunError("\n".join(lines))
