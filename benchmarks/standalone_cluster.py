"""A Spark standalone cluster on this machine: a master and two workers of one core each.

Nodes have only Spark and Java: everything that executors run must be sent to them.
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

from halftone.spark.class_archive import SHORT_JOB_OPTIONS

_START_SECS = 60
# The JVMs of short tests compile little, which takes half the CPU time.
COMPILER_OPTION = "-XX:TieredStopAtLevel=1"


class Cluster:
    """A running cluster."""

    def __init__(self, folder: Path, master: str, workers: list[psutil.Process]) -> None:
        self.folder, self.master, self._workers = folder, master, workers

    def submit_environment(self, python: Path) -> dict[str, str]:
        """Return the environment in which conf/deploy/standalone.sh submits a small job here.

        Args:
            python: the Python executable of the driver.
        """
        return {
            **environment(self.folder),
            "MASTER": self.master,
            "SPARK_SUBMIT": str(self.folder / "spark" / "bin" / "spark-submit"),
            "DRIVER_PYTHON": str(python),
            "SPARK_SUBMIT_OPTS": SHORT_JOB_OPTIONS,
            "SUBMIT_ARGS": "--driver-memory 512m --executor-memory 512m "
            f"--conf spark.executor.extraJavaOptions={COMPILER_OPTION}",
        }

    def executors(self) -> list[psutil.Process]:
        """Return the JVMs of the running executors."""
        executors = []
        for worker in self._workers:
            for process in list_children(worker):
                if "CoarseGrainedExecutorBackend" in " ".join(read_command(process)):
                    executors.append(process)
        return executors

    def wait_for_python_executor(self) -> psutil.Process:
        """Wait for an executor that runs Python, and return it.

        Raises:
            TimeoutError: none has started Python in time.
        """
        deadline = time.monotonic() + 15 * _START_SECS  # the executor unpacks the environment first
        while time.monotonic() < deadline:
            for process in self.executors():
                if any(map(_is_daemon, list_children(process))):
                    return process
            time.sleep(0.05)
        raise TimeoutError(self.folder)

    def remove_finished_applications(self) -> None:
        """Remove the folders of finished applications, with an environment for each executor."""
        for application in self.folder.glob("worker-*/app-*"):
            shutil.rmtree(application, ignore_errors=True)


def read_command(process: psutil.Process) -> list[str]:
    """Return the command line of a process; empty if it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_daemon(process: psutil.Process) -> bool:
    """Whether a process is the PySpark daemon, not the shell that unpacks Python for it."""
    command = read_command(process)
    return "pyspark.daemon" in command and "python" in Path(command[0]).name


def list_children(process: psutil.Process) -> list[psutil.Process]:
    """Return all descendants of a process; none if it has ended."""
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a node: a copy of Spark, no PYTHONPATH, no Python of .venv.

    It includes the AWS_* variables, for tests with a store.
    """
    home = folder / "spark"
    if not home.exists():
        shutil.copytree(Path(pyspark.__file__).parent, home, copy_function=_link)
    inherited = {"JAVA_HOME", *(name for name in os.environ if name.startswith("AWS_"))}
    return {
        **{name: os.environ[name] for name in inherited if name in os.environ},
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_DAEMON_JAVA_OPTS": SHORT_JOB_OPTIONS,
        "SPARK_DAEMON_MEMORY": "256m",
    }


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a different filesystem
        shutil.copy2(source, target)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Start a cluster and stop it on exit; its folders and logs are below `folder`."""
    with ExitStack() as stack:
        common = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        master = stack.enter_context(_daemon(folder, "master", *common))
        url = _wait_for_log(folder, "master", r"Starting Spark master at (spark://\S+)")
        assert master.is_running()
        workers = []
        for number in (1, 2):
            name = f"worker-{number}"
            (folder / name).mkdir()
            resources = ("--cores", "1", "--memory", "2g", "--work-dir", str(folder / name))
            workers.append(stack.enter_context(_daemon(folder, name, *common, *resources, url)))
        for number in (1, 2):
            _wait_for_log(folder, f"worker-{number}", r"(Successfully registered with master)")
        yield Cluster(folder, url, workers)


@contextmanager
def _daemon(folder: Path, name: str, *arguments: str) -> Iterator[psutil.Process]:
    kind = name.partition("-")[0]
    command = [str(folder / "spark" / "bin" / "spark-class")]
    command += [f"org.apache.spark.deploy.{kind}.{kind.capitalize()}", *arguments]
    with open(folder / f"{name}.log", "wb") as log:
        process = subprocess.Popen(
            command, env=environment(folder), cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()  # a worker stops its executors
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_log(folder: Path, name: str, pattern: str) -> str:
    """Wait for a line in the log of a daemon; return the first group of the pattern."""
    log = folder / f"{name}.log"
    deadline = time.monotonic() + _START_SECS
    while time.monotonic() < deadline:
        match = re.search(pattern, log.read_text())
        if match:
            return match.group(1)
        time.sleep(0.1)
    raise TimeoutError(log.read_text())
