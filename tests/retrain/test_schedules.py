"""The schedule files, each checked by its scheduler if that is installed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from halftone import config
from halftone.retrain import job

ROOT = Path(__file__).parents[2]
SCHEDULES = ROOT / "conf" / "schedules"
COMMAND = ".venv/bin/python jobs/retrain.py --config conf/retrain.yaml"

# Imports the DAG as a scheduler does, and runs its task on a clone whose job ends with CODE.
IN_AIRFLOW = """
import os
from datetime import timedelta
from airflow.models import DagBag
from airflow.utils.state import DagRunState
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], include_examples=False)
assert not bag.import_errors, bag.import_errors
dag = bag.dags["halftone_retrain"]
assert (dag.schedule_interval, dag.catchup, dag.max_active_runs) == ("0 2 * * *", False, 1)
(only,) = dag.tasks
assert (only.retries, only.retry_delay.total_seconds()) == (2, 900.0)
only.retry_delay = timedelta(0)  # or the test would wait for them
run = dag.test()
(task,) = run.get_task_instances()
print("RESULT", run.state, task.state, task.xcom_pull(task_ids="retrain"))
"""


@pytest.mark.parametrize("name", ["halftone-retrain.service", "crontab", "airflow_dag.py"])
def test_schedules_run_the_job_with_the_example_config(name: str) -> None:
    text = (SCHEDULES / name).read_text(encoding="utf-8")
    assert COMMAND in text
    assert (ROOT / COMMAND.split()[1]).exists()
    assert (ROOT / COMMAND.split()[-1]).exists()


def test_example_config_is_suitable_for_retraining() -> None:
    loaded = config.load_config(str(ROOT / "conf" / "retrain.yaml"))
    retrain_job = job.create_job(loaded, lambda: pytest.fail("checking a config needs no Spark"))
    assert (retrain_job.registry.name, retrain_job.settings.fail_on_refusal) == ("retrain", True)


@pytest.mark.needs("systemd")
def test_systemd_units_are_valid(tmp_path: Path) -> None:
    for path in SCHEDULES.glob("halftone-retrain.*"):
        # systemd-analyze checks that the executable exists.
        text = path.read_text(encoding="utf-8")
        (tmp_path / path.name).write_text(
            text.replace("/opt/halftone/.venv/bin/python", sys.executable)
        )
    units = sorted(str(path) for path in tmp_path.iterdir())
    assert len(units) == 2
    completed = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (completed.returncode, completed.stderr) == (0, "")


def test_crontab_command_runs_in_a_shell(tmp_path: Path) -> None:
    """Read the file like cron: variables, then five fields and a command for sh."""
    lines = (SCHEDULES / "crontab").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines if re.match(r"^\w+=", line))
    (entry,) = (line for line in lines if not re.match(r"^\w+=", line))
    *fields, command = entry.split(None, 5)
    assert fields == ["0", "2,5", "*", "*", "*"]
    assert "%" not in command  # cron would replace it by a newline
    write_fake_clone(tmp_path, 3)
    completed = subprocess.run(
        ["/bin/sh", "-c", command], env={**variables, "HALFTONE": str(tmp_path)}, check=False
    )
    assert completed.returncode == 3
    assert (tmp_path / "retrain.log").read_text() == f"{COMMAND.split(None, 1)[1]}\n"


def write_fake_clone(folder: Path, code: int) -> None:
    """Write a clone whose Python prints its arguments and exits with `code`."""
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\necho >>calls\necho "$@"\nexit {code}\n')
    python.chmod(0o755)


@pytest.mark.slow
@pytest.mark.needs("airflow")
def test_airflow_runs_the_dag(tmp_path: Path) -> None:
    """The outcome is the task's; 4 is skipped, and 5, but no 2 or 3, is tried again."""
    python = os.environ["HALFTONE_AIRFLOW"]
    (tmp_path / "dags").mkdir()
    shutil.copy(SCHEDULES / "airflow_dag.py", tmp_path / "dags")
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "HALFTONE_HOME": str(tmp_path),
    }
    migrate = [python, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True)
    arguments = shlex.join(shlex.split(COMMAND)[1:])
    for code, calls, expected in (
        (0, 1, f"RESULT success success {arguments}"),
        (2, 1, "RESULT failed failed None"),
        (3, 1, "RESULT failed failed None"),
        (4, 1, "RESULT success skipped None"),
        (5, 3, "RESULT failed failed None"),
    ):
        write_fake_clone(tmp_path, code)
        (tmp_path / "calls").write_text("")
        completed = subprocess.run(
            [python, "-c", IN_AIRFLOW], env=environment, capture_output=True, text=True, check=False
        )
        results = [line for line in completed.stdout.splitlines() if line.startswith("RESULT")]
        assert results == [expected], completed.stdout[-3000:] + completed.stderr[-3000:]
        assert (tmp_path / "calls").read_text() == calls * "\n", code
