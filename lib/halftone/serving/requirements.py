"""The packages that prediction needs, in the versions of this environment."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from functools import cache

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Distributions by the name that is imported; some have several builds with the same content.
DISTRIBUTIONS = {
    "PIL": ("pillow",),
    "adlfs": ("adlfs",),
    "aiohttp": ("aiohttp",),
    "azure": ("azure-storage-blob",),
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
    "fsspec": ("fsspec",),
    "gcsfs": ("gcsfs",),
    "h5py": ("h5py",),
    "hdfs_native": ("hdfs-native",),
    # Not `mlflow`, which adds the tracking server and its database.
    "mlflow": ("mlflow-skinny",),
    "numpy": ("numpy",),
    "pandas": ("pandas",),
    # The extra `formats`.
    "pillow_heif": ("pillow-heif",),
    "pillow_jxl": ("pillow-jxl-plugin",),
    "pydicom": ("pydicom",),
    "pyarrow": ("pyarrow",),
    "pydantic": ("pydantic",),
    "pydantic_core": ("pydantic-core",),
    "requests": ("requests",),
    "s3fs": ("s3fs",),
    "simplejpeg": ("simplejpeg",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "urllib3": ("urllib3",),
    "yaml": ("pyyaml",),
}


def pinned_requirements(libraries: Iterable[str]) -> list[str]:
    """Return NAME==VERSION of the distributions of libraries, and of all that these require.

    Without the versions of the latter, a new release of one of them could break a model that was
    logged long before.

    Args:
        libraries: names as they are imported; those of the standard library are ignored.
    """
    candidates = [DISTRIBUTIONS[name] for name in libraries if name in DISTRIBUTIONS]
    waiting = [(name, "") for names in candidates for name in names if _version(name)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for text in importlib.metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                required = canonicalize_name(requirement.name)
                if _version(required):
                    waiting += [(required, each) for each in ("", *requirement.extras)]
    return [f"{name}=={_version(name)}" for name in sorted({name for name, _ in seen})]


@cache
def _version(distribution: str) -> str:
    """Return the installed version, or "" if there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
