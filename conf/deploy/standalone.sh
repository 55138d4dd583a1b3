#!/usr/bin/env bash
# Run a job on a standalone cluster. The driver runs on this machine; the executors use the packed
# environment:
#
#   ./build.sh package
#   MASTER=spark://HOST:7077 conf/deploy/standalone.sh preprocess --config conf/faces.yaml
#   MASTER=spark://HOST:7077 GPUS=1 conf/deploy/standalone.sh train --config conf/faces.yaml
#
# Paths must be on storage that driver and workers can access: s3://, hdfs://, a shared file system.
# SUBMIT_ARGS is passed to spark-submit, such as SUBMIT_ARGS='--total-executor-cores 64'. GPUS is the
# number of GPUs of each rank; the workers must be configured with their GPUs (docs/how-to/cluster.md).
# ENVIRONMENT is a folder on shared storage with the unpacked dist/environment.tar.gz; if set, the
# archive is not sent.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
job=$1
shift
gpus=()
if [[ -n ${GPUS:-} ]]; then
    gpus=(
        --conf "spark.executor.resource.gpu.amount=$GPUS"
        --conf "spark.task.resource.gpu.amount=$GPUS"
    )
fi
if [[ -n ${ENVIRONMENT:-} ]]; then
    python=(--conf "spark.pyspark.python=$ENVIRONMENT/bin/python")
else
    if [[ ! -e $root/dist/environment.tar.gz ]]; then
        echo "standalone.sh: $root/dist/environment.tar.gz is missing; run ./build.sh package" >&2
        exit 2
    fi
    # Renamed, because Spark would unpack a .tar.gz, also in the driver, before it requests executors.
    ln -f "$root/dist/environment.tar.gz" "$root/dist/environment.packed"
    python=(
        --files "$root/dist/environment.packed,$root/conf/deploy/python.sh"
        --conf spark.pyspark.python=./python.sh
    )
fi
# shellcheck disable=SC2086 # SUBMIT_ARGS may hold several arguments
exec "${SPARK_SUBMIT:-spark-submit}" \
    --master "$MASTER" \
    --deploy-mode client \
    --py-files "$root/dist/halftone.zip" \
    --conf spark.pyspark.driver.python="${DRIVER_PYTHON:-$root/.venv/bin/python}" \
    "${python[@]}" \
    "${gpus[@]}" \
    ${SUBMIT_ARGS:-} \
    "$root/jobs/$job.py" "$@"
