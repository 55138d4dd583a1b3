#!/usr/bin/env bash
# Run on each node of a Databricks cluster before Spark starts: install Halftone's package versions.
# HALFTONE_WHEELS is a folder of wheels with their requirements.txt; docs/how-to/databricks.md explains how to
# fill it.
set -euo pipefail
/databricks/python/bin/pip install --no-deps --no-index --find-links "$HALFTONE_WHEELS" \
    -r "$HALFTONE_WHEELS/requirements.txt"
