from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import halftone
from halftone.errors import InputError
from halftone.spark.connect_workers import check_versions
from halftone.spark.package_zip import write_package_zip


def test_workers_with_the_same_versions_are_accepted() -> None:
    check_versions({"numpy": "1.26.4"}, {"numpy": "1.26.4", "pillow": "11.3.0"})


@pytest.mark.parametrize(
    ("on_workers", "found"),
    [({}, "have no numpy"), ({"numpy": "2.0.1"}, "have numpy 2.0.1")],
)
def test_other_packages_of_workers_are_refused(on_workers: dict[str, str], found: str) -> None:
    message = (
        f"the Spark Connect server's workers {found}, but this process has 1.26.4; install the "
        "packages of requirements.txt where the server's Python workers run "
        "(docs/how-to/cluster.md, Spark Connect)"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_versions({"numpy": "1.26.4"}, on_workers)


def test_the_zip_has_the_package_and_equal_bytes(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for folder in (first, second, third):
        folder.mkdir()
    archive = write_package_zip(first)
    assert archive == first / "halftone.zip"
    assert write_package_zip(second).read_bytes() == archive.read_bytes()
    # A process that imports the package from a zip file passes on that file.
    code = f"""
import sys
sys.path.insert(0, {str(archive)!r})
from pathlib import Path
from halftone.spark.package_zip import write_package_zip
import halftone
print(halftone.__file__)
write_package_zip(Path({str(third)!r}))
"""
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert printed == f"{archive}/halftone/__init__.py\n" != f"{halftone.__file__}\n"
    assert (third / "halftone.zip").read_bytes() == archive.read_bytes()
