"""Halftone's retraining as an Airflow DAG. Copy this file to Airflow's DAGs folder.

The task runs the job as a process in Halftone's own environment, so Airflow needs none of its
packages. HALFTONE_HOME, in the environment of scheduler and workers, is the path of the clone.
"""

import os
from datetime import datetime, timedelta, timezone

from airflow import DAG
from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.operators.bash import BashOperator


class Retrain(BashOperator):
    """Fails without retries at exit codes 2 and 3, which need a human.

    A retry after a refusal would find no new images and succeed, which would hide the refusal.
    """

    def execute(self, context):
        try:
            return super().execute(context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            if getattr(self.subprocess_hook.sub_process, "returncode", None) in (2, 3):
                raise AirflowFailException(str(error)) from error
            raise


with DAG(
    dag_id="halftone_retrain",
    description="Retrain on new images",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["halftone"],
) as dag:
    Retrain(
        task_id="retrain",
        bash_command=".venv/bin/python jobs/retrain.py --config conf/retrain.yaml",
        cwd=os.environ.get("HALFTONE_HOME", "/opt/halftone"),
        skip_on_exit_code=4,  # another call is running
        retries=2,
        retry_delay=timedelta(minutes=15),
        execution_timeout=timedelta(hours=8),
        do_xcom_push=True,  # the last line, which is the outcome as JSON
    )
