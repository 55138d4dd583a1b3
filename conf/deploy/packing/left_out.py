"""Files of packages and of Python that no job opens; the archive does not include them."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

# Patterns of paths below site-packages; a star matches slashes too.
OF_PACKAGES = (
    # Files for compilers and type checkers.
    *("*/include/*", "*.a", "*.h", "*.hpp", "*.c", "*.cc", "*.cpp", "*.pyx", "*.pxd", "*.pxi"),
    *("*.pyi", "clang/*"),
    # Not "test": TensorFlow has a package of that name.
    "*/tests/*",
    # Spark itself, which every node has, and its examples.
    *(f"pyspark/{name}/*" for name in ("jars", "examples", "data", "licenses")),
    # The web pages of TensorBoard and MLflow: jobs write logs, and serve no pages.
    *("tensorboard_data_server/bin/*", "tensorboard/webfiles.zip", "mlflow/server/js/*"),
    # Arrow's servers and query plans.
    *("pyarrow/*flight*", "pyarrow/*plasma*", "pyarrow/*substrait*"),
    # TensorFlow's own access to gs://, which is not used (fsspec is), and an MLIR dialect.
    *("tensorflow_io_gcs_filesystem/*", "tensorflow/compiler/mlir/stablehlo/*"),
    # Classifiers of OpenCV.
    "cv2/data/*.xml",
)
# A portable archive has Spark itself: its machines need no other.
PORTABLE_OF_PACKAGES = tuple(pattern for pattern in OF_PACKAGES if pattern != "pyspark/jars/*")
# The same below Python's own library.
OF_PYTHON = (
    *(f"{name}/*" for name in ("test", "idlelib", "turtledemo", "tkinter", "lib2to3")),
    *("ensurepip/*", "config-*/*", "*/test/*", "*/tests/*"),
)


def is_left_out(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(str(path), pattern) for pattern in patterns)
