#!/usr/bin/env bash
# A job on a standalone cluster; the driver runs here, the executors from the packed environment:
#
#   ./build.sh package
#   MASTER=spark://HOST:7077 conf/deploy/standalone.sh preprocess --config conf/faces.yaml
#   MASTER=spark://HOST:7077 GPUS=1 conf/deploy/standalone.sh train --config conf/faces.yaml
#
# Paths must be on storage that driver and workers see: s3://, hdfs://, a shared file system. What
# is in SUBMIT_ARGS goes to spark-submit, such as SUBMIT_ARGS='--total-executor-cores 64'. With GPUS
# each rank of a training gets so many; the workers must have been started with theirs (docs/deploy.md).
# ENVIRONMENT is a folder that all nodes see and in which dist/environment.tar.gz is unpacked: with it
# the archive is not sent.
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
        echo "standalone.sh: there is no $root/dist/environment.tar.gz; make it: ./build.sh package" >&2
        exit 2
    fi
    # By its own name Spark would unpack it, in the driver as well, before it asks for executors.
    ln -f "$root/dist/environment.tar.gz" "$root/dist/environment.packed"
    python=(
        --files "$root/dist/environment.packed,$root/conf/deploy/python.sh"
        --conf spark.pyspark.python=./python.sh
    )
fi
# shellcheck disable=SC2086 # several arguments are meant
exec "${SPARK_SUBMIT:-spark-submit}" \
    --master "$MASTER" \
    --deploy-mode client \
    --py-files "$root/dist/halftone.zip" \
    --conf spark.pyspark.driver.python="${DRIVER_PYTHON:-$root/.venv/bin/python}" \
    "${python[@]}" \
    "${gpus[@]}" \
    ${SUBMIT_ARGS:-} \
    "$root/jobs/$job.py" "$@"
