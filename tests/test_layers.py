"""Who may import whom, so that no circle forms and each stage ships light."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lib" / "halftone"


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions: `a.b` and its parents' names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
            found.add(str(node.module))
    return found


def own(name: str) -> set[str]:
    """The package's modules that module `name` imports."""
    return {found for found in imports(MODULES[name]) if found in MODULES} - {"halftone", name}


def users(library: str) -> set[str]:
    """The package's modules that import `library`."""
    return {
        name.removeprefix("halftone.")
        for name, path in MODULES.items()
        if any(found.split(".")[0] == library for found in imports(path))
    }


def reach(name: str) -> set[str]:
    """The package's modules that module `name` needs, directly or not."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        new = own(waiting.pop()) - seen
        seen |= new
        waiting += new
    return seen


def test_the_rules_see_the_package() -> None:
    assert {"halftone.config", "halftone.preprocess.run", "halftone.models.convnet"} <= set(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_needs_itself(name: str) -> None:
    assert name not in reach(name)


@pytest.mark.parametrize(
    "name", ["config", "schema", "storage", "stores", "splits", "world", "errors"]
)
def test_the_floor_imports_nothing_else_of_the_package(name: str) -> None:
    assert own(f"halftone.{name}") <= {"halftone.errors", "halftone.storage.clients"}


@pytest.mark.parametrize("package", ["images", "models", "drawing"])
def test_a_package_of_the_floor_needs_only_itself(package: str) -> None:
    root = f"halftone.{package}"
    inside = {name for name in MODULES if name == root or name.startswith(f"{root}.")}
    assert len(inside) > 1
    assert all(own(name) <= inside for name in inside)


def test_who_knows_which_library() -> None:
    assert users("petastorm") == {"row_groups"}
    assert users("horovod") == {"rendezvous", "step", "training", "watch", "world"}
    assert {name.split(".")[0] for name in users("cv2")} == {"images", "drawing"}
    assert {name.split(".")[0] for name in users("simplejpeg")} == {"images"}
    assert {name.split(".")[0] for name in users("tensorflow")} == {
        *("models", "pipeline", "predict", "publishing", "repeatable", "saved_network"),
        *("export_shard", "step", "training", "watch"),
    }
    assert users("mlflow") == {
        *("mlflow_model", "mlflow_run", "mlflow_store", "retrain.registry", "tracking"),
    }
    assert users("pyspark") == {
        *("estimate", "executors", "launch", "new_images", "preprocess", "scorer", "scoring"),
        *("export", "rank_task", "session", "spark_slots", "staging", "tasks", "version"),
        *("check", "experiment.command", "experiment.datasets", "experiment.places", "notebook"),
        *("retrain.command", "retrain.job", "retrain.new_rows"),
    }
    assert users("optuna") == {"experiment.gaussian", "experiment.samplers", "experiment.search"}
    assert users("sklearn") == {"experiment.gaussian"}
    assert users("IPython") == {"notebook", "notebook_pictures"}


def test_preprocess_needs_no_tensorflow() -> None:
    needed = {name.removeprefix("halftone.") for name in reach("halftone.preprocess.run")}
    assert not needed & users("tensorflow")
    assert not needed & users("petastorm")


def test_workers_that_decode_or_predict_need_no_spark() -> None:
    workers = ("ingest", "shards", "shard_scorer", "image_scorer", "feed", "training", "rank")
    for name in (*workers, "retrain.traits"):
        needed = {other.removeprefix("halftone.") for other in reach(f"halftone.{name}")}
        assert not (needed | {name}) & users("pyspark"), name


def test_the_package_knows_no_job() -> None:
    assert not users("jobs") | users("notebooks")


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.py")), ids=lambda path: path.name)
def test_a_job_is_short_and_shows_its_command(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 50
    assert f"python jobs/{path.name} --config" in text
    assert f"jobs/{path.name} --config" in text.split("spark-submit", 1)[1]
