#!/usr/bin/env bash
# Run a job on Kubernetes; driver and executors are pods of one image, built with
# conf/deploy/Dockerfile:
#
#   ./build.sh package
#   docker build -f conf/deploy/Dockerfile -t REGISTRY/halftone:1 . && docker push REGISTRY/halftone:1
#   export MASTER=k8s://https://HOST:6443 IMAGE=REGISTRY/halftone:1
#   conf/deploy/kubernetes.sh preprocess --config conf/faces.yaml --input s3://bucket/faces
#   GPUS=1 conf/deploy/kubernetes.sh train --config conf/faces.yaml
#
# Files of conf/ are read from the image. Optional variables: NAMESPACE, SERVICE_ACCOUNT, EXECUTORS,
# and for each executor CORES, MEMORY (of the JVM) and OVERHEAD (for Python); SUBMIT_ARGS is passed to
# spark-submit. A rank of a training occupies a whole executor, so set train.ranks to EXECUTORS.
set -euo pipefail
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
        --conf spark.executor.resource.gpu.vendor=nvidia.com
        --conf spark.executor.resource.gpu.discoveryScript=/opt/halftone/conf/deploy/gpus.sh
    )
fi
# shellcheck disable=SC2086 # SUBMIT_ARGS may hold several arguments
exec "${SPARK_SUBMIT:-spark-submit}" \
    --master "$MASTER" \
    --deploy-mode cluster \
    --name "halftone-$job" \
    --conf spark.kubernetes.namespace="${NAMESPACE:-default}" \
    --conf spark.kubernetes.authenticate.driver.serviceAccountName="${SERVICE_ACCOUNT:-spark}" \
    --conf spark.kubernetes.container.image="$IMAGE" \
    --conf spark.executor.instances="${EXECUTORS:-4}" \
    --conf spark.executor.cores="$cores" \
    --conf spark.executor.memory="${MEMORY:-2g}" \
    --conf spark.executor.memoryOverhead="${OVERHEAD:-6g}" \
    --conf spark.pyspark.python=/opt/halftone/environment/bin/python \
    --py-files local:///opt/halftone/dist/halftone.zip \
    "${task[@]}" \
    ${SUBMIT_ARGS:-} \
    "local:///opt/halftone/jobs/$job.py" "$@"
