"""A Spark standalone cluster on this machine: a master and two workers of one core each.

Nodes have Spark, Java, and nothing of ours: what executors run must be shipped to them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pyspark

_START_SECS = 60
# JVMs that do little, and are not to take the cores from what is tested.
_JVM_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


class Cluster:
    def __init__(self, folder: Path, master: str, workers: list[psutil.Process]) -> None:
        self.folder, self.master, self._workers = folder, master, workers

    def submitting(self, python: Path) -> dict[str, str]:
        """The environment in which conf/deploy/standalone.sh sends this cluster a small job.

        Args:
            python: the driver's.
        """
        return {
            **environment(self.folder),
            "MASTER": self.master,
            "SPARK_SUBMIT": str(self.folder / "spark" / "bin" / "spark-submit"),
            "DRIVER_PYTHON": str(python),
            "SUBMIT_ARGS": "--driver-memory 512m --executor-memory 512m",
        }

    def executors(self) -> list[psutil.Process]:
        """The executors' JVMs that run at the moment."""
        found = []
        for worker in self._workers:
            for process in children(worker):
                if "CoarseGrainedExecutorBackend" in " ".join(command_of(process)):
                    found.append(process)
        return found

    def executor_at_work(self) -> psutil.Process:
        """An executor that runs Python, as soon as there is one."""
        deadline = time.monotonic() + 15 * _START_SECS  # it unpacks the environment first
        while time.monotonic() < deadline:
            for process in self.executors():
                if any(map(_is_daemon, children(process))):
                    return process
            time.sleep(0.05)
        raise TimeoutError(self.folder)

    def tidy(self) -> None:
        """Remove what ended applications have left: an environment for each of their executors."""
        for application in self.folder.glob("worker-*/app-*"):
            shutil.rmtree(application, ignore_errors=True)


def command_of(process: psutil.Process) -> list[str]:
    """Its command line; empty where it has ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_daemon(process: psutil.Process) -> bool:
    """Whether it is Spark's, and not the shell that unpacks the Python for it."""
    command = command_of(process)
    return "pyspark.daemon" in command and "python" in Path(command[0]).name


def children(process: psutil.Process) -> list[psutil.Process]:
    """All processes below it; none where it has ended meanwhile."""
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def environment(folder: Path) -> dict[str, str]:
    """What a node has: no PYTHONPATH, no Python of ours, and Spark in a place of its own.

    And the account of a store, where a test has one.
    """
    home = folder / "spark"
    if not home.exists():
        shutil.copytree(Path(pyspark.__file__).parent, home, copy_function=_link)
    own = {"JAVA_HOME", *(name for name in os.environ if name.startswith("AWS_"))}
    return {
        **{name: os.environ[name] for name in own if name in os.environ},
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_DAEMON_JAVA_OPTS": _JVM_OPTIONS,
        "SPARK_DAEMON_MEMORY": "256m",
    }


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copy2(source, target)


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Start the cluster; its folders and logs are below `folder`."""
    with ExitStack() as stack:
        common = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        master = stack.enter_context(_daemon(folder, "master", *common))
        url = _said(folder, "master", r"Starting Spark master at (spark://\S+)")
        assert master.is_running()
        workers = []
        for number in (1, 2):
            name = f"worker-{number}"
            (folder / name).mkdir()
            room = ("--cores", "1", "--memory", "2g", "--work-dir", str(folder / name))
            workers.append(stack.enter_context(_daemon(folder, name, *common, *room, url)))
        for number in (1, 2):
            _said(folder, f"worker-{number}", r"(Successfully registered with master)")
        yield Cluster(folder, url, workers)


@contextmanager
def _daemon(folder: Path, name: str, *arguments: str) -> Iterator[psutil.Process]:
    kind = name.partition("-")[0]
    command = [str(folder / "spark" / "bin" / "spark-class")]
    command += [f"org.apache.spark.deploy.{kind}.{kind.capitalize()}", *arguments]
    own = environment(folder)
    with open(folder / f"{name}.log", "wb") as log:
        process = subprocess.Popen(
            command, env=own, cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()  # a worker ends its executors
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _said(folder: Path, name: str, pattern: str) -> str:
    """Wait for a line in a daemon's log; return the pattern's group."""
    log = folder / f"{name}.log"
    deadline = time.monotonic() + _START_SECS
    while time.monotonic() < deadline:
        found = re.search(pattern, log.read_text())
        if found:
            return found.group(1)
        time.sleep(0.1)
    raise TimeoutError(log.read_text())
