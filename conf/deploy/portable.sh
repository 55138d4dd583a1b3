#!/bin/sh
# The Python of the portable archive, with Halftone, Spark and a Java; call it from the folder in
# which relative paths start, such as this one:
#
#   ./python -m halftone.sample --output out/demo/images --pairs 400 --seed 7
#   ./python jobs/preprocess.py --config conf/local.yaml
#   ./python jobs/train.py --config conf/local.yaml
#   ./python jobs/score.py --config conf/local.yaml
here=$(cd "$(dirname "$0")" && pwd -P)
export JAVA_HOME="$here/java"
# Not another Spark, nor modules of another Python.
unset SPARK_HOME PYTHONPATH PYTHONHOME
exec "$here/bin/python" "$@"
