"""What is in packages and in Python that no job opens: the archive goes without."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

# Patterns of paths below site-packages; a star stands for folders too.
OF_PACKAGES = (
    # What one compiles against or checks types with.
    *("*/include/*", "*.a", "*.h", "*.hpp", "*.c", "*.cc", "*.cpp", "*.pyx", "*.pxd", "*.pxi"),
    *("*.pyi", "clang/*"),
    # Not "test": TensorFlow has a package of that name.
    "*/tests/*",
    # A node has its own Spark; and what is to be looked at or learnt from.
    *(f"pyspark/{name}/*" for name in ("jars", "examples", "data", "licenses")),
    # TensorBoard's and MLflow's pages: a job writes to them, and serves none.
    *("tensorboard_data_server/bin/*", "tensorboard/webfiles.zip", "mlflow/server/js/*"),
    # Arrow's servers, and plans of queries.
    *("pyarrow/*flight*", "pyarrow/*plasma*", "pyarrow/*substrait*"),
    # TensorFlow's own way to gs://, which is off; stores are read by fsspec. A compiler's dialect.
    *("tensorflow_io_gcs_filesystem/*", "tensorflow/compiler/mlir/stablehlo/*"),
    # Classifiers of OpenCV.
    "cv2/data/*.xml",
)
# The same below Python's own library.
OF_PYTHON = (
    *(f"{name}/*" for name in ("test", "idlelib", "turtledemo", "tkinter", "lib2to3")),
    *("ensurepip/*", "config-*/*", "*/test/*", "*/tests/*"),
)


def is_left_out(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(str(path), pattern) for pattern in patterns)
