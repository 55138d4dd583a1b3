#!/usr/bin/env bash
# On each node of a Databricks cluster, before Spark starts: Halftone's pins over the runtime's own.
# HALFTONE_WHEELS is a folder of wheels with their requirements.txt; docs/deploy.md says how to fill it.
set -euo pipefail
/databricks/python/bin/pip install --no-deps --no-index --find-links "$HALFTONE_WHEELS" \
    -r "$HALFTONE_WHEELS/requirements.txt"
