#!/usr/bin/env bash
# Run a job on YARN (Hadoop, EMR, Dataproc). The driver runs on this machine:
#
#   ./build.sh package
#   HADOOP_CONF_DIR=/etc/hadoop/conf conf/deploy/yarn.sh preprocess --config conf/faces.yaml
#   HADOOP_CONF_DIR=/etc/hadoop/conf GPUS=1 conf/deploy/yarn.sh train --config conf/faces.yaml
#
# Optional variables:
#   ENVIRONMENT  where dist/environment.tar.gz already is, so that it is not sent with every job: its
#                URL, such as hdfs:///apps/halftone/environment.tar.gz, readable by all, which each
#                node fetches and unpacks once; or a folder that all nodes see, with it unpacked
#   MODE         cluster: the driver runs in a container too, and the file of --config is sent
#   EXECUTORS, and for each executor CORES, MEMORY (of the JVM) and OVERHEAD (for Python). A rank of
#                a training occupies a whole executor, so set train.ranks to EXECUTORS
#   SUBMIT_ARGS  is passed to spark-submit
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
job=$1
shift
cores=${CORES:-4} mode=${MODE:-client}
options=() files=()
archive=${ENVIRONMENT:-$root/dist/environment.tar.gz}
if [[ $archive = *.tar.gz ]]; then
    if [[ $archive != *://* && ! -e $archive ]]; then
        echo "yarn.sh: $archive is missing; run ./build.sh package" >&2
        exit 2
    fi
    options=(--archives "$archive#environment" --conf spark.pyspark.python=./environment/bin/python)
else
    options=(--conf "spark.pyspark.python=$archive/bin/python")
fi
if [[ $job = train ]]; then
    options+=(--conf "spark.task.cpus=$cores")
fi
if [[ -n ${GPUS:-} ]]; then
    options+=(
        --conf "spark.executor.resource.gpu.amount=$GPUS"
        --conf "spark.task.resource.gpu.amount=$GPUS"
        --conf spark.executor.resource.gpu.discoveryScript=./gpus.sh
    )
    files+=("$root/conf/deploy/gpus.sh")
fi
arguments=("$@")
if [[ $mode = client ]]; then
    options+=(--conf "spark.pyspark.driver.python=${DRIVER_PYTHON:-$root/.venv/bin/python}")
else
    for ((i = 1; i < $#; i++)); do
        if [[ ${arguments[i - 1]} = --config ]]; then
            files+=("${arguments[i]}")
            arguments[i]=${arguments[i]##*/}
        fi
    done
fi
if [[ ${#files[@]} != 0 ]]; then
    options+=(--files "$(
        IFS=,
        echo "${files[*]}"
    )")
fi
# shellcheck disable=SC2086 # SUBMIT_ARGS may hold several arguments
exec "${SPARK_SUBMIT:-spark-submit}" \
    --master yarn \
    --deploy-mode "$mode" \
    --num-executors "${EXECUTORS:-4}" \
    --executor-cores "$cores" \
    --executor-memory "${MEMORY:-2g}" \
    --conf spark.executor.memoryOverhead="${OVERHEAD:-6g}" \
    --py-files "$root/dist/halftone.zip" \
    --conf spark.dynamicAllocation.enabled=false \
    "${options[@]}" \
    ${SUBMIT_ARGS:-} \
    "$root/jobs/$job.py" "${arguments[@]}"
