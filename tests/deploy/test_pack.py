from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[2] / "conf" / "deploy"))
import pack
from packing import archive, members
from packing.left_out import OF_PACKAGES, OF_PYTHON, PORTABLE_OF_PACKAGES, is_left_out
from packing.libraries import loaded_part
from packing.zipping import Gzip


def test_files_of_the_environment() -> None:
    targets = [str(target) for _, target in members.members(pack.REQUIREMENTS)]
    assert len(targets) == len(set(targets))
    site, lib = str(members.SITE), str(members.LIB)
    packages = {name.split("/")[3] for name in targets if name.startswith(f"{site}/")}
    assert {"tensorflow", "horovod", "petastorm", "cv2", "pyspark", "pandas"} <= packages
    assert not {"pytest", "mypy", "ruff", "hypothesis", "cmake", "clang", "halftone"} & packages
    assert not [name for name in packages if name.startswith(("__editable__", "halftone-"))]
    assert {f"{lib}/os.py", f"{lib}/json/__init__.py", f"{site}/pyspark/worker.py"} <= set(targets)
    assert not [name for name in targets if name.startswith(f"{site}/pyspark/jars")]
    # --check reads the version from this folder.
    assert [name for name in targets if name.startswith(f"{site}/tensorflow-2.15")]


def test_files_that_the_portable_archive_adds(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("release", "bin/java"):
        (tmp_path / name).write_text("of a Java")
    sources = {str(target): source for source, target in pack.added_members(tmp_path)}
    package = f"{members.SITE}/halftone"
    assert sources["java/bin/java"] == tmp_path / "bin" / "java"
    assert sources["python"].name == "portable.sh"
    expected = {
        "java/release",
        "jobs/train.py",
        "conf/local.yaml",
        "conf/experiments/rare-class.yaml",
    }
    expected |= {f"{package}/report/page.html.j2", f"{package}/sample/generate.py"}
    assert expected <= set(sources)
    folders = {name.partition("/")[0] for name in sources}
    assert folders == {"python", "java", "jobs", "conf", "lib"}
    assert [name for name in sources if name.startswith("conf/deploy") or ".pyc" in name] == []


@pytest.mark.parametrize(
    ("patterns", "path", "is_out"),
    [
        (OF_PACKAGES, "tensorflow/include/Eigen/Core", True),
        (OF_PACKAGES, "numpy/core/lib/libnpymath.a", True),
        (OF_PACKAGES, "numpy/core/_multiarray_umath.cpython-311-x86_64-linux-gnu.so", False),
        (OF_PACKAGES, "pandas/tests/frame/test_api.py", True),
        (OF_PACKAGES, "tensorflow/_api/v2/test/__init__.py", False),
        (OF_PACKAGES, "jinja2/tests.py", False),
        (OF_PACKAGES, "numpy/testing/__init__.py", False),
        (OF_PACKAGES, "pyspark/jars/spark-core_2.12-3.5.9.jar", True),
        (OF_PACKAGES, "pyspark/java_gateway.py", False),
        (PORTABLE_OF_PACKAGES, "pyspark/jars/spark-core_2.12-3.5.9.jar", False),
        (PORTABLE_OF_PACKAGES, "pyspark/examples/src/main/python/pi.py", True),
        (OF_PACKAGES, "pyarrow/libarrow_flight.so.1000", True),
        (OF_PACKAGES, "pyarrow/libarrow_dataset.so.1000", False),
        (OF_PACKAGES, "cv2/data/haarcascade_eye.xml", True),
        (OF_PACKAGES, "cv2/data/__init__.py", False),
        (OF_PACKAGES, "tensorboard/webfiles.zip", True),
        (OF_PACKAGES, "tensorboard/summary/__init__.py", False),
        (OF_PYTHON, "test/test_os.py", True),
        (OF_PYTHON, "unittest/test/test_case.py", True),
        (OF_PYTHON, "unittest/case.py", False),
    ],
)
def test_is_left_out(patterns: tuple[str, ...], path: str, is_out: bool) -> None:
    assert is_left_out(Path(path), patterns) == is_out


PRINT_LOADED = """
import sys
print(*(module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)))
print(*{line.split()[5] for line in open("/proc/self/maps") if line.count("/") > 1})
"""


@pytest.mark.slow
def test_all_files_that_halftone_loads_are_included(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", members.IMPORT_ALL + PRINT_LOADED],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    included = {str(source) for source, _ in members.members(pack.REQUIREMENTS)}
    all_members = (*members.packages(pack.REQUIREMENTS), *members.standard_library())
    left_out = {str(source) for source, _ in all_members} - included
    site = str(Path(pytest.__file__).parents[1])
    loaded = set(process.stdout.split())
    assert {f"{site}/tensorflow/libtensorflow_cc.so.2", f"{site}/cv2/__init__.py"} <= loaded
    library = sysconfig.get_path("stdlib")
    assert {f"{site}/pyarrow/flight.py", f"{library}/lib2to3/main.py"} <= left_out
    assert sorted(loaded & left_out) == []


def test_a_library_is_cut_to_the_part_that_the_linker_loads(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("yaml._yaml")
    assert spec is not None
    assert spec.origin is not None
    original = Path(spec.origin).read_bytes()
    with open(spec.origin, "rb") as file:
        part = loaded_part(file)
    assert part is not None
    cut = bytes(part)
    assert len(cut) < len(original)
    # Only the header differs, in the fields of the section table.
    assert [n for n in range(len(cut)) if n > 64 and cut[n] != original[n]] == []
    path = tmp_path / Path(spec.origin).name
    path.write_bytes(cut)
    code = (
        "import sys; from importlib.machinery import *; from importlib.util import *\n"
        f"spec = spec_from_file_location('yaml._yaml', {str(path)!r})\n"
        "sys.modules['yaml._yaml'] = module = module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "import yaml; print(yaml.load('a: [1, 2.5]', Loader=yaml.CSafeLoader), module.__file__)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert output == f"{{'a': [1, 2.5]}} {path}\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"INPUT(libreal.so)\n", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01" + bytes(600)],
    ids=["empty", "linker script", "truncated", "32 bits"],
)
def test_other_files_are_not_changed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(content)
    with open(path, "rb") as file:
        assert loaded_part(file) is None
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        assert archive.add(tar, path, Path("lib/lib.so")) == len(content)
    packed.seek(0)
    with tarfile.open(fileobj=packed) as tar:
        extracted = tar.extractfile("lib/lib.so")
        assert extracted is not None
        assert extracted.read() == content


@given(parts=st.lists(st.binary(max_size=300), max_size=40))
def test_parts_form_one_gzip_file(parts: list[bytes]) -> None:
    target = BytesIO()
    with Gzip(target) as zipped:
        assert [zipped.write(part) for part in parts] == list(map(len, parts))
    assert gzip.decompress(target.getvalue()) == b"".join(parts)


def test_an_extra_of_a_requirement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "picture_frames-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(
        "Metadata-Version: 2.1\nName: picture-frames\nVersion: 1.0\nProvides-Extra: gold\n"
        "Requires-Dist: MarkupSafe\nRequires-Dist: never-installed; extra == 'gold'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "requirements.txt"
    path.write_text("# a comment\npicture_frames==1.0 # why\n")
    names = [dist.metadata["Name"] for dist in members.needed(path)]
    assert names == ["MarkupSafe", "picture-frames"]
    path.write_text("picture_frames[gold]\n")
    with pytest.raises(importlib.metadata.PackageNotFoundError, match="never-installed"):
        members.needed(path)


def test_the_zip_holds_the_package_and_is_reproducible(tmp_path: Path) -> None:
    pack.pack_halftone(tmp_path / "one.zip")
    summary = pack.pack_halftone(tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    names = zipfile.ZipFile(tmp_path / "two.zip").namelist()
    assert {"halftone/__init__.py", "halftone/report/page.html.j2"} <= set(names)
    assert not [name for name in names if name.endswith(".pyc") or "__pycache__" in name]
    size_bytes = os.path.getsize(tmp_path / "two.zip")
    assert summary == f"{tmp_path}/two.zip: {len(names)} files, {size_bytes:,} bytes"


IMPORT_MODULES = """
import importlib, sys
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    assert module.__file__.startswith(sys.argv[1]), module.__file__
print("imported", len(sys.argv[2:]))
"""


def packed_modules(path: Path) -> list[str]:
    """The names of all modules in a zip."""
    return [
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in zipfile.ZipFile(path).namelist()
        if name.endswith(".py")
    ]


def test_the_zip_holds_no_drawing_code(tmp_path: Path) -> None:
    path = tmp_path / "halftone.zip"
    pack.pack_halftone(path)
    names = zipfile.ZipFile(path).namelist()
    assert [name for name in names if name.startswith("halftone/sample/")] == [
        "halftone/sample/__init__.py",
        "halftone/sample/flags.py",
        "halftone/sample/sample_info.py",
    ]
    assert not [name for name in names if "drawing" in name]
    # No module in the zip imports one that is not.
    sources = [zipfile.ZipFile(path).read(name).decode() for name in names if name.endswith(".py")]
    imports = re.compile(r"^\s*(?:from|import) (halftone[\w.]*)(?: import (\w+))?", re.MULTILINE)
    imported = {match for source in sources for match in imports.findall(source)}
    modules = set(packed_modules(path))
    assert ("halftone.sample.sample_info", "read_sample_description") in imported
    assert not {name for name, _ in imported} - modules
    drawing = {"halftone.sample.generate", "halftone.sample.drawing"}
    assert not {f"{name}.{member}" for name, member in imported} & drawing


@pytest.mark.slow
def test_all_modules_in_the_zip_import(tmp_path: Path) -> None:
    path = tmp_path / "halftone.zip"
    pack.pack_halftone(path)
    modules = packed_modules(path)
    command = [sys.executable, "-c", IMPORT_MODULES, str(path), *modules]
    environment = {**os.environ, "PYTHONPATH": str(path)}
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert process.stdout == f"imported {len(modules)}\n", process.stderr


def test_an_environment_that_is_up_to_date_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "environment.tar.gz"
    target.write_bytes(b"packed")
    (tmp_path / "environment.tar.gz.stamp").write_text(pack._stamp())
    assert pack.pack_environment(target) == f"{target}: up to date, 6 bytes"
    assert target.read_bytes() == b"packed"
