#!/usr/bin/env bash
# Run a job on YARN (Hadoop, EMR, Dataproc). The driver runs on this machine:
#
#   ./build.sh package
#   HADOOP_CONF_DIR=/etc/hadoop/conf conf/deploy/yarn.sh preprocess --config conf/faces.yaml
#   HADOOP_CONF_DIR=/etc/hadoop/conf GPUS=1 conf/deploy/yarn.sh train --config conf/faces.yaml
#
# Optional variables: EXECUTORS, and for each executor CORES, MEMORY (of the JVM) and OVERHEAD (for
# Python); SUBMIT_ARGS is passed to spark-submit. A rank of a training occupies a whole executor, so
# set train.ranks to EXECUTORS.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
job=$1
shift
cores=${CORES:-4}
task=()
if [[ $job = train ]]; then
    task=(--conf "spark.task.cpus=$cores")
fi
if [[ -n ${GPUS:-} ]]; then
    task+=(
        --conf "spark.executor.resource.gpu.amount=$GPUS"
        --conf "spark.task.resource.gpu.amount=$GPUS"
        --conf spark.executor.resource.gpu.discoveryScript=./gpus.sh
        --files "$root/conf/deploy/gpus.sh"
    )
fi
# shellcheck disable=SC2086 # SUBMIT_ARGS may hold several arguments
exec "${SPARK_SUBMIT:-spark-submit}" \
    --master yarn \
    --deploy-mode client \
    --num-executors "${EXECUTORS:-4}" \
    --executor-cores "$cores" \
    --executor-memory "${MEMORY:-2g}" \
    --conf spark.executor.memoryOverhead="${OVERHEAD:-6g}" \
    --archives "$root/dist/environment.tar.gz#environment" \
    --py-files "$root/dist/halftone.zip" \
    --conf spark.dynamicAllocation.enabled=false \
    --conf spark.pyspark.driver.python="${DRIVER_PYTHON:-$root/.venv/bin/python}" \
    --conf spark.pyspark.python=./environment/bin/python \
    "${task[@]}" \
    ${SUBMIT_ARGS:-} \
    "$root/jobs/$job.py" "$@"
