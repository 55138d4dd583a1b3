from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pack() -> ModuleType:
    """conf/deploy/pack.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("pack", ROOT / "conf" / "deploy" / "pack.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_in_the_environment(pack: ModuleType) -> None:
    targets = {str(target) for _, target in pack.members()}
    site, lib = str(pack.SITE), str(pack.LIB)
    packages = {name.split("/")[3] for name in targets if name.startswith(f"{site}/")}
    assert {"tensorflow", "horovod", "petastorm", "cv2", "pyspark", "pandas"} <= packages
    assert not {"pytest", "mypy", "ruff", "hypothesis", "cmake", "clang", "halftone"} & packages
    assert not [name for name in packages if name.startswith(("__editable__", "halftone-"))]
    assert {f"{lib}/os.py", f"{lib}/json/__init__.py", f"{site}/pyspark/worker.py"} <= targets
    assert not [name for name in targets if name.startswith(f"{site}/pyspark/jars")]
    # What --check asks for.
    assert [name for name in targets if name.startswith(f"{site}/tensorflow-2.15")]


def test_an_extra_of_a_requirement(pack: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("# a comment\njinja2==3.1.6 # why\n")
    assert [one.metadata["Name"] for one in pack.needed(path)] == ["Jinja2", "MarkupSafe"]
    path.write_text("jinja2[i18n]\n")
    with pytest.raises(importlib.metadata.PackageNotFoundError, match="Babel"):
        pack.needed(path)


def test_the_zip_is_the_package_and_the_same_each_time(pack: ModuleType, tmp_path: Path) -> None:
    pack.pack_halftone(tmp_path / "one.zip")
    said = pack.pack_halftone(tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    names = zipfile.ZipFile(tmp_path / "two.zip").namelist()
    assert {"halftone/__init__.py", "halftone/report/page.html.j2"} <= set(names)
    assert not [name for name in names if name.endswith(".pyc") or "__pycache__" in name]
    size_bytes = os.path.getsize(tmp_path / "two.zip")
    assert said == f"{tmp_path}/two.zip: {len(names)} files, {size_bytes:,} bytes"


def test_an_environment_that_is_up_to_date_stands(pack: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "environment.tar.gz"
    target.write_bytes(b"packed")
    (tmp_path / "environment.tar.gz.stamp").write_text(pack._stamp())
    assert pack.pack_environment(target) == f"{target}: up to date, 6 bytes"
    assert target.read_bytes() == b"packed"
