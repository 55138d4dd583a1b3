"""The modules that travel with a model."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from halftone.serving import code_files, requirements
from halftone.spark.package_zip import write_package_zip
from test_layers import MODULES, PACKAGE, reach


def path_of(module: str) -> str:
    return MODULES[module].relative_to(PACKAGE.parent).as_posix()


def test_modules_are_those_that_are_reached() -> None:
    modules = code_files.find_modules()
    first = code_files.LOADER_MODULE
    assert {path_of(name) for name in {first} | reach(first)} <= set(modules)
    assert modules[path_of(first)] == MODULES[first].read_text()
    packages = {path.rpartition("/")[0] for path in modules}
    assert {f"{package}/__init__.py" for package in packages} <= set(modules)
    assert packages == {
        "halftone",
        *(
            f"halftone/{name}"
            for name in (
                *("config", "images", "metrics", "models", "scoring", "serving", "storage"),
            )
        ),
    }


def test_no_library_of_trainings_is_needed() -> None:
    libraries = code_files.imported_libraries(code_files.find_modules().values())
    assert not libraries & {"pyspark", "horovod", "petastorm", "optuna", "scipy", "sklearn"}


@pytest.mark.skipif(sys.version_info < (3, 10), reason="needs sys.stdlib_module_names")
def test_every_library_has_a_distribution() -> None:
    libraries = code_files.imported_libraries(code_files.find_modules().values())
    assert libraries - set(sys.stdlib_module_names) == set(requirements.DISTRIBUTIONS)


def test_packages_can_be_completed_by_an_installed_halftone(tmp_path: Path) -> None:
    package = code_files.write_code(tmp_path)
    assert package == tmp_path / "halftone"
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.py")}
    assert written == set(code_files.find_modules())
    init = (package / "images" / "__init__.py").read_text()
    assert init.startswith((PACKAGE / "images" / "__init__.py").read_text())
    assert init.endswith('__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n')


def test_a_process_with_a_models_code_can_import_all_of_halftone(tmp_path: Path) -> None:
    code_files.write_code(tmp_path)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import halftone.images; "
        "import halftone.locking.lock, halftone.images.preview; "
        "print(halftone.images.__file__, halftone.locking.lock.__file__)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert output.stdout.split() == [
        f"{tmp_path}/halftone/images/__init__.py",
        f"{PACKAGE}/locking/lock.py",
    ]


def test_sources_are_found_in_a_zip_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = code_files.find_modules()
    archive = write_package_zip(tmp_path)
    with zipfile.ZipFile(archive) as files:
        assert set(expected) <= set(files.namelist())
    for name in [name for name in sys.modules if name.partition(".")[0] == "halftone"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(archive))
    assert code_files.find_modules() == expected
    assert sys.modules["halftone"].__file__ == f"{archive}/halftone/__init__.py"
