"""A real Hadoop cluster on this machine for tests: HDFS, and YARN if it is asked for.

NameNode, DataNodes, ResourceManager and NodeManagers are Hadoop's own, in one JVM (its
minicluster). The containers of YARN are processes of this machine.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pyspark
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

from halftone.spark.class_archive import SHORT_JOB_OPTIONS

# build.sh reads these: paths on Maven Central. PySpark's jars have the rest, of the same version.
VERSION = "3.3.4"
SHA256 = {
    "org/apache/hadoop/hadoop-client-minicluster/3.3.4/hadoop-client-minicluster-3.3.4.jar": "cd8a1703393946c302bb3a52d0fcd23f6f8ded4554bc0dac5d2ee673dbe2b40e",  # noqa: E501
    "junit/junit/4.13.2/junit-4.13.2.jar": "8e495b634469d64fb8acfa3495a065cbacc8a0fff55ce1e31007be4c16dc57d3",  # noqa: E501
    "org/bouncycastle/bcprov-jdk15on/1.60/bcprov-jdk15on-1.60.jar": "7f1a0e6badab38666f8467a9a0ee96656b2f8ec8623867ed34f3cdc173b7ee07",  # noqa: E501
    "org/bouncycastle/bcpkix-jdk15on/1.60/bcpkix-jdk15on-1.60.jar": "a82ac5bc24bcbf6ba9eb70f334d6782e25245c8da36d9848ad553b5b7b68efd1",  # noqa: E501
}
INSTALL = "./build.sh hadoop"
# Of PySpark. Its other jars have classes that do not fit those of the minicluster.
_SPARK_JARS = (
    *("hadoop-client-*", "slf4j-api-*", "log4j-*", "commons-logging-*", "snappy-java-*"),
    *("activation-*", "jakarta.xml.bind-api-*"),
)
_JVM_OPTIONS = (
    *("-Xmx512m", *SHORT_JOB_OPTIONS.split()),
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
)
_NUM_DATA_NODES = 2
_NODE_MANAGERS_START_MS = 60_000
_YARN_SETTINGS = {
    # One container of 1 GB for each executor, and one for the application master.
    "yarn.nodemanager.resource.memory-mb": "2048",
    "yarn.nodemanager.resource.cpu-vcores": "4",
    "yarn.scheduler.minimum-allocation-mb": "256",
    "yarn.scheduler.capacity.root.queues": "default",
    "yarn.scheduler.capacity.root.default.capacity": "100",
    "yarn.scheduler.capacity.maximum-am-resource-percent": "0.5",
    # TensorFlow reserves more virtual memory than it uses; and a full disk is not what is tested.
    "yarn.nodemanager.pmem-check-enabled": "false",
    "yarn.nodemanager.vmem-check-enabled": "false",
    "yarn.nodemanager.disk-health-checker.enable": "false",
    "yarn.nodemanager.delete.debug-delay-sec": "0",
    # A container is given out, started and seen to end at a heartbeat, by default one a second.
    "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": "100",
    "yarn.nodemanager.container-monitor.enabled": "false",
}
_CLIENT_SETTINGS = (
    "fs.defaultFS",
    *(
        f"yarn.resourcemanager.{name}"
        for name in ("address", "scheduler.address", "admin.address", "webapp.address")
    ),
)


class Hadoop(NamedTuple):
    """A running cluster."""

    folder: Path  # with cluster.log and the folders of the nodes
    conf: Path  # HADOOP_CONF_DIR
    hdfs: str  # hdfs://localhost:PORT
    webhdfs: str  # webhdfs://localhost:PORT
    jvm: Any  # py4j's view of its classes
    servers: Any  # Hadoop's MiniDFSCluster
    process: psutil.Process  # the JVM, of which all containers are descendants

    def list_containers(self, word: str) -> list[psutil.Process]:
        """List the Java processes of containers that have a word in their command line."""
        found = []
        for process in self.process.children(recursive=True):
            with suppress(psutil.Error):
                command = process.cmdline()
                if command and Path(command[0]).name == "java" and word in " ".join(command):
                    found.append(process)
        return found


def cache() -> Path:
    """Return the folder to which build.sh fetches the jars."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halftone"
    return Path(os.environ.get("HALFTONE_CACHE") or folder) / "jars"


def jars() -> list[Path]:
    return [cache() / Path(path).name for path in SHA256]


def is_available() -> bool:
    return all(path.exists() for path in jars())


@contextmanager
def running_hadoop(work: Path, node_managers: int = 0) -> Iterator[Hadoop]:
    """Run HDFS, and YARN with that many NodeManagers; stop all of it at the end."""
    for path, sha256 in zip(jars(), SHA256.values()):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256, path
    with ExitStack() as stack:
        jvm, process = stack.enter_context(_running_jvm(work))
        settings = jvm.org.apache.hadoop.conf.Configuration()
        settings.set("hadoop.tmp.dir", str(work / "tmp"))
        settings.set("dfs.permissions.superusergroup", "root")
        builder = getattr(jvm.org.apache.hadoop.hdfs, "MiniDFSCluster$Builder")
        servers = builder(settings).numDataNodes(_NUM_DATA_NODES).build()
        stack.callback(servers.shutdown)
        servers.waitActive()
        if node_managers:
            settings = stack.enter_context(_running_yarn(jvm, settings, node_managers))
        _write_settings(settings, work / "conf")
        host = servers.getHttpUri(0).removeprefix("http://")
        yield Hadoop(
            folder=work,
            conf=work / "conf",
            hdfs=servers.getURI().toString(),
            webhdfs=f"webhdfs://{host}",
            jvm=jvm,
            servers=servers,
            process=process,
        )


@contextmanager
def _running_jvm(work: Path) -> Iterator[tuple[Any, psutil.Process]]:
    spark_jars = Path(pyspark.__file__).parent / "jars"
    (py4j,) = spark_jars.glob("py4j-*.jar")
    class_path = [*jars(), *(path for name in _SPARK_JARS for path in spark_jars.glob(name))]
    with open(work / "cluster.log", "w") as log:
        port, process = launch_gateway(
            classpath=os.pathsep.join(map(str, class_path)),
            jarpath=str(py4j),
            javaopts=[*_JVM_OPTIONS, f"-Dtest.build.data={work}/data", f"-Duser.dir={work}"],
            redirect_stdout=log,
            redirect_stderr=log,
            return_proc=True,
            die_on_exit=True,
        )
        gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port))
        try:
            yield gateway.jvm, psutil.Process(process.pid)
        finally:
            containers = psutil.Process(process.pid).children(recursive=True)
            gateway.shutdown()
            process.stdin.close()
            _end([*containers, process])


def _end(processes: list[Any]) -> None:
    """Kill containers, and wait for the JVM, which is the last process, to end."""
    for process in processes[:-1]:
        with suppress(psutil.Error):
            process.kill()
    try:
        processes[-1].wait(20)
    except subprocess.TimeoutExpired:
        processes[-1].kill()
        processes[-1].wait()


@contextmanager
def _running_yarn(jvm: Any, settings: Any, node_managers: int) -> Iterator[Any]:
    """Run YARN; yield its settings, with the addresses."""
    for name, value in _YARN_SETTINGS.items():
        settings.set(name, value)
    cluster = jvm.org.apache.hadoop.yarn.server.MiniYARNCluster("nodes", node_managers, 1, 1)
    cluster.init(settings)
    try:
        cluster.start()
        assert cluster.waitForNodeManagersToConnect(_NODE_MANAGERS_START_MS)
        yield cluster.getConfig()
    finally:
        cluster.stop()


def _write_settings(settings: Any, folder: Path) -> None:
    """Write what clients need. Other settings name classes of the minicluster."""
    folder.mkdir()
    values = {name: settings.get(name) for name in _CLIENT_SETTINGS}
    lines = [
        f"<property><name>{name}</name><value>{value}</value></property>"
        for name, value in values.items()
        if value is not None
    ]
    text = "\n".join(["<configuration>", *lines, "</configuration>"])
    for name in ("core-site.xml", "yarn-site.xml"):
        (folder / name).write_text(text + "\n")
