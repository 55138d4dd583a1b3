"""Halftone's retraining as an Airflow DAG. Copy it to Airflow's folder of DAGs.

The task runs the job as a process of Halftone's own environment: Airflow needs none of its
packages. HALFTONE_HOME, in the environment of scheduler and workers, says where the clone is.
"""

import os
from datetime import datetime, timedelta, timezone

from airflow import DAG
from airflow.operators.bash import BashOperator

HOME = os.environ.get("HALFTONE_HOME", "/opt/halftone")
# 2 and 3 want a human, and another try would end the same: 99 is what Airflow takes for "skipped",
# so that the task is told apart from one that failed. 4: another call is at it, and does the work.
COMMAND = f"""
cd {HOME!r} || exit 2
.venv/bin/python jobs/retrain.py --config conf/retrain.yaml
code=$?
case $code in
    4) exit 99 ;;
    *) exit $code ;;
esac
"""

with DAG(
    dag_id="halftone_retrain",
    description="New images to a better champion",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["halftone"],
) as dag:
    BashOperator(
        task_id="retrain",
        bash_command=COMMAND,
        skip_on_exit_code=99,
        retries=2,
        retry_delay=timedelta(minutes=15),
        execution_timeout=timedelta(hours=8),
        do_xcom_push=True,  # the last line, which is the outcome as JSON
    )
