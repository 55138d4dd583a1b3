"""Halftone's retraining as an Airflow DAG. Copy it to Airflow's folder of DAGs.

The task runs the job as a process of Halftone's own environment: Airflow needs none of its
packages. HALFTONE_HOME, in the environment of scheduler and workers, says where the clone is.
"""

import os
from datetime import datetime, timedelta, timezone

from airflow import DAG
from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.operators.bash import BashOperator


class Retrain(BashOperator):
    """Wants a human, and tries no more, at exit codes 2 and 3.

    Another try would find nothing new since, and end well: nobody would hear of what was refused.
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
    description="New images to a better champion",
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
        skip_on_exit_code=4,  # another call is at it, and does the work
        retries=2,
        retry_delay=timedelta(minutes=15),
        execution_timeout=timedelta(hours=8),
        do_xcom_push=True,  # the last line, which is the outcome as JSON
    )
