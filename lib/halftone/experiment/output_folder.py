"""The output folder of an experiment, which belongs to one experiment.

experiment.json     the name of the experiment
datasets/ subsets/  what the runs read
runs/               a folder for each run
table.md, table.csv, index.html
_lock/              the process that writes here, see halftone.locking
"""

from __future__ import annotations

from halftone import storage
from halftone.errors import InputError
from halftone.experiment import table
from halftone.experiment.datasets import DATASETS_FOLDER, SUBSETS_FOLDER
from halftone.experiment.run_job import RUNS_FOLDER
from halftone.locking.lock import LOCK_FOLDER

EXPERIMENT_FILE = "experiment.json"
_OWN_NAMES = {
    *(DATASETS_FOLDER, SUBSETS_FOLDER, RUNS_FOLDER, LOCK_FOLDER),
    *(table.MARKDOWN, table.CSV, table.PAGE),
}


def check_output(output: str, name: str) -> None:
    """Raise InputError if `output` belongs to an experiment of another name, or to no experiment.

    Args:
        output: URL of the folder; need not exist.
        name: the name in the experiment file. The rest of that file may change between two calls.
    """
    names = storage.list_names(output)
    if EXPERIMENT_FILE in names:
        other = storage.read_json(storage.join(output, EXPERIMENT_FILE))["name"]
        if other != name:
            raise InputError(
                f"{output}: holds the experiment {other} and is not overwritten by {name}; give "
                "another --output"
            )
    elif names and _OWN_NAMES.isdisjoint(names):
        raise InputError(
            f"{output}: exists and is not an experiment (it holds {', '.join(names[:3])}"
            f"{', ...' if len(names) > 3 else ''}); give another --output"
        )


def claim_output(output: str, name: str) -> None:
    """Write whose folder it is, unless this was done before."""
    check_output(output, name)
    if EXPERIMENT_FILE not in storage.list_names(output):
        storage.write_json(storage.join(output, EXPERIMENT_FILE), {"name": name})
