"""Evaluate the reports of driver and executors: a result per check, with a cure if it failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from halftone.preflight.probe_host import GLOO, HostReport
from halftone.preflight.probe_storage import NOT_EXCLUSIVE, NOT_SHARED, StorageProbe
from halftone.system.java import JAVA_VERSION
from halftone.system.python_environment import SPARK_SERIES

# Prefixes of the versions that Halftone was tried with; requirements.txt gives the reasons.
REQUIRED_VERSIONS = {
    "python": ("3.9.", "3.10.", "3.11."),
    "java": (f"{JAVA_VERSION}.",),
    "pyspark": (SPARK_SERIES,),
    "tensorflow": ("2.15.",),
    "horovod": ("0.28.1",),
    "petastorm": ("0.12.1",),
    "pyarrow": ("10.0.1",),
    "numpy": ("1.26.",),
    "pandas": ("2.2.",),
    "opencv-python-headless": ("4.11.",),
    "simplejpeg": ("1.9.",),
    "fsspec": ("2025.10.",),
}
_MAX_SKEW_SECS = 60.0
_MISSING = "missing"
_EXECUTOR_CURE = (
    "./build.sh package, then spark-submit with --archives dist/environment.tar.gz#environment "
    "--conf spark.pyspark.python=./environment/bin/python --py-files dist/halftone.zip"
)
_DRIVER_CURE = "start the job with the Python of ./build.sh setup, or of dist/environment.tar.gz"
_SPARK_CURE = (
    "it comes with Spark: install Spark 3.5, with Java 17, on every node and for the driver"
)


class CheckResult(NamedTuple):
    name: str
    driver: str
    executors: str
    cure: str = ""  # what the user can do; "" if the check passed
    remark: str = ""  # what the user may want to change, though the job can run

    @property
    def is_wrong(self) -> bool:
        return bool(self.cure)


def check_versions(driver: HostReport, executors: Sequence[HostReport]) -> list[CheckResult]:
    """Return a result for each of REQUIRED_VERSIONS; none on Java if Spark's driver hides its own.

    Args:
        driver: report of the driver; its version of Java is that of Spark's driver.
        executors: reports of the executors.
    """
    results = []
    for name, required in REQUIRED_VERSIONS.items():
        if name == "java" and name not in driver.versions:
            continue
        on_driver = driver.versions.get(name, _MISSING)
        on_executors = {report.name: report.versions.get(name, _MISSING) for report in executors}
        cure = _version_cure(name, required, on_driver, on_executors)
        results.append(CheckResult(name, on_driver, group_by_value(on_executors), cure))
    return results


def _version_cure(
    name: str, required: tuple[str, ...], driver_version: str, executor_versions: Mapping[str, str]
) -> str:
    is_from_spark = name in ("java", "pyspark")
    wanted = " or ".join(version.rstrip(".") for version in required)
    if not driver_version.startswith(required):
        return f"driver: {wanted} is needed; {_SPARK_CURE if is_from_spark else _DRIVER_CURE}"
    cure = _SPARK_CURE if is_from_spark else _EXECUTOR_CURE
    if not all(version.startswith(required) for version in executor_versions.values()):
        return f"executors: {wanted} is needed; {cure}"
    if name != "java" and any(version != driver_version for version in executor_versions.values()):
        return f"executors: {driver_version} is needed, as on the driver; {cure}"
    return ""


def check_horovod(driver: HostReport, executors: Sequence[HostReport]) -> list[CheckResult]:
    """Return a result on Horovod's build; none if it was not inspected."""
    if not driver.horovod:
        return []
    on_executors = {report.name: report.horovod for report in executors}
    cure = ""
    if any(build != GLOO for build in on_executors.values()):
        cure = f"executors: Horovod must be built with Gloo for TensorFlow 2.15; {_EXECUTOR_CURE}"
    elif driver.horovod != GLOO:
        cure = f"driver: Horovod must be built with Gloo for TensorFlow 2.15; {_DRIVER_CURE}"
    return [CheckResult("horovod's build", driver.horovod, group_by_value(on_executors), cure)]


def check_rank_network(
    driver: HostReport, executors: Sequence[HostReport], ranks: int, on_executors: bool
) -> list[CheckResult]:
    """Return a result on whether ranks can connect to each other; none for a single rank.

    Args:
        on_executors: whether ranks run on the executors, and not beside the driver.
    """
    if ranks == 1:
        return []
    hosts = executors if on_executors else [driver]
    status = group_by_value({host.name: "none" if host.network_problem else "ok" for host in hosts})
    cure = next((host.network_problem for host in hosts if host.network_problem), "")
    columns = ("", status) if on_executors else (status, "")
    return [CheckResult("ranks' network", *columns, cure)]


def check_executors(
    executors: Sequence[HostReport], slots: int, ranks: int, error: str
) -> CheckResult:
    """Return a result on the number of executors and slots."""
    status = error or f"{len(executors)} of {slots} slot{'s' * (slots != 1)}"
    cure = ""
    if not slots:
        cure = (
            "see the page of Spark's master for cores and memory that are free, and lower "
            "spark.executor.cores and spark.executor.memory"
        )
    elif error:
        cure = f"executors need Halftone and the driver's Python; {_EXECUTOR_CURE}"
    elif slots < ranks:
        cure = f"train.ranks is {ranks}; use train.ranks={slots}, or give Spark more executors"
    return CheckResult("executors", "", status, cure)


def check_scoring_gpus(executors: Sequence[HostReport]) -> list[CheckResult]:
    """Return a result on whether tasks that predict use the GPUs; none if no executor has any."""
    with_gpus = [host for host in executors if host.gpus]
    if not with_gpus:
        return []
    uses = {host.name: "not used" if host.named_gpus is None else "used" for host in with_gpus}
    remark = ""
    if "not used" in uses.values():
        remark = (
            "Spark assigns no GPU to a task, so the job predicts on the CPU; set "
            "spark.executor.resource.gpu.amount and spark.task.resource.gpu.amount, or "
            "CUDA_VISIBLE_DEVICES on the executors (docs/how-to/cluster.md, GPUs for scoring)"
        )
    return [CheckResult("GPUs for scoring", "", group_by_value(uses), remark=remark)]


def check_stores(
    keys: Mapping[str, str],
    probe: StorageProbe,
    driver: HostReport,
    executors: Sequence[HostReport],
) -> list[CheckResult]:
    """Return a result for each URL that the job reads or writes.

    Args:
        keys: keys in section `paths`, by URL.
        probe: the URLs.
        driver: report of the driver.
        executors: reports of the executors.
    """
    results = []
    for url in (*probe.reads, *probe.writes):
        writes = url in probe.writes
        driver_error = driver.stores[url]
        on_executors = {report.name: report.stores.get(url, "") or "ok" for report in executors}
        errors = [status for status in on_executors.values() if status != "ok"]
        cure = ""
        if driver_error or errors:
            known = (NOT_SHARED, NOT_EXCLUSIVE)
            found = [text for text in known if text in (driver_error, *errors)]
            problem = found[0] if found else "written" if writes else "read"
            cure = f"paths.{keys[url]} is {url}: {_STORE_CURES[problem]}"
        status = "not checked" if driver_error and writes else group_by_value(on_executors)
        name = f"{'write' if writes else 'read'} {keys[url]}"
        results.append(CheckResult(name, driver_error or "ok", status, cure))
    return results


_STORE_CURES = {
    NOT_SHARED: "each machine has a different folder there; use storage that all machines share",
    NOT_EXCLUSIVE: "use a store that answers If-None-Match, or see to it that two jobs never write "
    "to one output at the same time",
    "written": "give this user, here and on the executors, permission to list, read, write and "
    "delete there, or choose another path",
    "read": "check the path, and that this user may list and read it here and on the executors",
}


def check_clocks(clock_lag_secs: Mapping[str, float]) -> list[CheckResult]:
    """Return a result on the largest difference between clocks; none without executors.

    Args:
        clock_lag_secs: how far each executor's clock is behind the driver's.
    """
    if not clock_lag_secs:
        return []
    name, secs = max(clock_lag_secs.items(), key=lambda item: abs(item[1]))
    direction = "behind" if secs > 0 else "ahead"
    difference = f"{abs(secs):.0f} s {direction}" if abs(secs) >= 1 else "within 1 s"
    cure = ""
    if abs(secs) > _MAX_SKEW_SECS:
        cure = (
            f"the clock of {name} is {difference}: stores refuse requests with a wrong date; "
            "synchronise it by NTP"
        )
    return [CheckResult("clock", "", difference, cure)]


def group_by_value(values: Mapping[str, str]) -> str:
    """Return the value of all hosts if it is the same, else each value with its hosts."""
    by_value: dict[str, list[str]] = {}
    for name, value in values.items():
        by_value.setdefault(value, []).append(name)
    if len(by_value) <= 1:
        return "".join(by_value)
    items = sorted(by_value.items(), key=lambda item: -len(item[1]))
    return ", ".join(f"{value} ({_executor_names(names)})" for value, names in items)


def _executor_names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} executors"


def format_report(
    master: str, driver: HostReport, executors: Iterable[HostReport], results: Sequence[CheckResult]
) -> str:
    """Return the report: a table of results with cures or remarks, and a line for each host."""
    rows = [("", "", "driver", "executors")]
    rows += [(_verdict(result), *result[:3]) for result in results]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"check on {master}", ""]
    for row, result in zip(rows, (None, *results)):
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        lines.append("  ".join([*cells, row[3]]).rstrip())
        if result is not None and (result.cure or result.remark):
            lines.append(f"{'':{widths[0]}}    {result.cure or result.remark}")
    lines.append("")
    for host in (driver, *executors):
        lines.append(
            f"{host.name}: {host.cores} cores, {host.memory_bytes / 2**30:.1f} GiB, "
            f"{host.gpus} GPUs; Python {host.prefix}, Halftone {host.package}, in {host.folder}"
            + _describe_missing_formats(host)
        )
    return "\n".join(lines)


def _verdict(result: CheckResult) -> str:
    if result.is_wrong:
        return "WRONG"
    return "note" if result.remark else "ok"


def _describe_missing_formats(host: HostReport) -> str:
    if not host.missing_formats:
        return ""
    return f"; no decoder of {host.missing_formats}: pip install 'halftone[formats]'"
