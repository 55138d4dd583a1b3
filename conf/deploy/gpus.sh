#!/usr/bin/env bash
# Tells Spark which GPUs this machine has, as spark.*.resource.gpu.discoveryScript wants it:
# {"name": "gpu", "addresses": ["0", "1"]}
set -euo pipefail
addresses=$(nvidia-smi --query-gpu=index --format=csv,noheader | sed 's/.*/"&"/' | paste -sd, -)
printf '{"name": "gpu", "addresses": [%s]}\n' "$addresses"
