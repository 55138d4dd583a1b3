"""The order of the packages, which library each may import, and that public names are unique."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lib" / "halftone"

# From the bottom up. A module imports its own package and lower layers, nothing else: not another
# package of its layer, and no higher one.
LAYERS = (
    ("printable", "url_schemes", "image_boxes"),
    ("errors",),
    ("logs",),
    ("measures", "arrow"),
    ("progress",),
    ("config", "storage", "system", "metrics"),
    ("archives", "images", "locking", "spark", "models", "sample", "delta_log"),
    ("dataset",),
    ("listing", "card"),
    ("preprocess", "feed", "model_directory"),
    ("training", "report", "summary"),
    ("scoring",),
    ("serving",),
    ("tracking",),
    ("launch", "export", "preflight", "lineage", "monitoring"),
    ("job_start",),
    ("cli", "notebook", "experiment", "retrain"),
    ("label_errors",),
    ("commands",),
    ("__main__",),
)
# The packages that may import a library. `sample` draws pictures.
USERS = {
    "petastorm": {"feed"},
    "horovod": {"feed", "launch", "training"},
    "cv2": {"images", "sample"},
    "simplejpeg": {"images"},
    "pillow_heif": {"images"},
    "pillow_jxl": {"images"},
    "pydicom": {"images"},
    "h5py": {"archives", "model_directory", "models"},
    "tensorflow": {"export", "feed", "models", "scoring", "training"},
    "mlflow": {"retrain", "serving", "tracking"},
    "onnx": {"export"},
    "onnxruntime": {"export"},
    "tf2onnx": {"export"},
    "optuna": {"experiment"},
    "sklearn": {"experiment", "retrain"},
    "markdown": {"card"},
    "openlineage": {"lineage"},
    "opentelemetry": {"monitoring"},
    "prometheus_client": {"monitoring"},
    "IPython": {"notebook"},
    "shtab": {"commands"},
    "jobs": set(),
    "notebooks": set(),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}
NAMES = frozenset(MODULES)


def package_of(module: str) -> str:
    """The package, or the single module, right below halftone; empty for halftone itself."""
    return module.split(".")[1] if "." in module else ""


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, also inside functions.

    `from a import b` imports `a.b` where that is a module of halftone, else `a`.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names.update(members & NAMES)
            if members - NAMES:
                names.add(str(node.module))
    return frozenset(names)


@cache
def package_imports(module: str) -> frozenset[str]:
    """The modules of halftone that a module imports."""
    return (imports(MODULES[module]) & NAMES) - {"halftone", module}


def users(library: str) -> set[str]:
    """The packages of halftone that import a library."""
    return {
        package_of(module)
        for module, path in MODULES.items()
        if any(name.split(".")[0] == library for name in imports(path))
    }


def reach(module: str) -> set[str]:
    """The modules of halftone that a module needs, directly or not."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        new = package_imports(waiting.pop()) - seen
        seen |= new
        waiting += new
    return seen


def test_every_package_has_one_layer() -> None:
    named = [package for layer in LAYERS for package in layer]
    assert sorted(named) == sorted({package_of(module) for module in MODULES} - {""})


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"halftone"}))
def test_a_module_imports_lower_layers_only(module: str) -> None:
    level = {package: number for number, layer in enumerate(LAYERS) for package in layer}
    own_package = package_of(module)
    wrong = {
        name
        for name in package_imports(module)
        if package_of(name) != own_package and level[package_of(name)] >= level[own_package]
    }
    assert not wrong


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_needs_itself(module: str) -> None:
    assert module not in reach(module)


@pytest.mark.parametrize("library", sorted(USERS))
def test_a_library_has_its_packages(library: str) -> None:
    assert users(library) == USERS[library]


@pytest.mark.parametrize("library", ["tensorflow", "petastorm", "horovod"])
def test_preprocess_loads_no_training_library(library: str) -> None:
    assert not {package_of(name) for name in reach("halftone.preprocess.run")} & USERS[library]


@pytest.mark.parametrize("package", ["images", "feed", "training", "serving"])
def test_work_on_images_and_ranks_needs_no_spark(package: str) -> None:
    """Nor does a Spark worker import PySpark for what it decodes or predicts, nor a server."""
    modules = {name for name in MODULES if package_of(name) == package}
    modules |= {"halftone.preprocess.decode_block", "halftone.scoring.image_task"}
    needed = modules.union(*map(reach, modules))
    assert not {
        name for name in needed if "pyspark" in {i.split(".")[0] for i in imports(MODULES[name])}
    }


def test_public_classes_have_unique_names() -> None:
    homes = defaultdict(list)
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(module)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def test_no_module_is_longer_than_350_lines() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > 350} == {}


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.py")), ids=lambda path: path.name)
def test_a_job_is_short_and_shows_its_command(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 55
    assert f"python jobs/{path.name} --config" in text
    assert f"jobs/{path.name} --config" in text.split("spark-submit", 1)[1]
