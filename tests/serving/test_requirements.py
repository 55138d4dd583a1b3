from __future__ import annotations

import importlib.metadata

from halftone.serving import requirements


def test_requirements_are_pinned_with_all_that_they_require() -> None:
    pins = requirements.pinned_requirements(["cv2", "gcsfs", "mlflow", "tensorflow", "os"])
    versions = dict(pin.split("==") for pin in pins)
    assert len(versions) == len(pins)
    assert list(versions) == sorted(versions)
    for name in ("opencv-python-headless", "mlflow-skinny", "tensorflow", "gcsfs"):
        assert versions[name] == importlib.metadata.version(name)
    # Required by TensorFlow, by MLflow, and by gcsfs.
    assert {"keras", "h5py", "starlette", "google-auth"} <= set(versions)
    # Optional ones, and what only the rest of Halftone needs.
    absent = {"mlflow", "sqlalchemy", "pyspark", "horovod", "petastorm", "optuna", "scikit-learn"}
    assert not absent & set(versions)
