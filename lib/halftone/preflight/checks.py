"""What a check has seen, judged line by line, with a cure for each that will not do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from halftone.preflight.probe_host import GLOO, HostReport
from halftone.preflight.probe_storage import NOT_SHARED, StorageProbe

# How the versions begin that Halftone works with; see requirements.txt for why.
REQUIRED_VERSIONS = {
    "python": ("3.9.", "3.10.", "3.11."),
    "java": ("1.8.", "11.", "17."),
    "pyspark": ("3.5.",),
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
    cure: str = ""  # empty where all is well

    @property
    def is_wrong(self) -> bool:
        return bool(self.cure)


def check_versions(driver: HostReport, executors: Sequence[HostReport]) -> list[CheckResult]:
    """A line for each of NEEDED."""
    lines = []
    for name, needed in REQUIRED_VERSIONS.items():
        own = driver.versions.get(name, _MISSING)
        others = {place.name: place.versions.get(name, _MISSING) for place in executors}
        lines.append(
            CheckResult(name, own, group_by_value(others), _version_cure(name, needed, own, others))
        )
    return lines


def _version_cure(
    name: str, required: tuple[str, ...], driver_version: str, executor_versions: Mapping[str, str]
) -> str:
    is_of_spark = name in ("java", "pyspark")
    wanted = " or ".join(version.rstrip(".") for version in required)
    if not driver_version.startswith(required):
        return f"driver: {wanted} is needed; {_SPARK_CURE if is_of_spark else _DRIVER_CURE}"
    cure = _SPARK_CURE if is_of_spark else _EXECUTOR_CURE
    if not all(version.startswith(required) for version in executor_versions.values()):
        return f"executors: {wanted} is needed; {cure}"
    if name != "java" and any(version != driver_version for version in executor_versions.values()):
        return f"executors: {driver_version} is needed, as on the driver; {cure}"
    return ""


def check_horovod(driver: HostReport, executors: Sequence[HostReport]) -> list[CheckResult]:
    """A line, where it was looked at."""
    if not driver.horovod:
        return []
    others = {place.name: place.horovod for place in executors}
    cure = ""
    if any(found != GLOO for found in others.values()):
        cure = f"executors: Horovod must be built with Gloo for TensorFlow 2.15; {_EXECUTOR_CURE}"
    elif driver.horovod != GLOO:
        cure = f"driver: Horovod must be built with Gloo for TensorFlow 2.15; {_DRIVER_CURE}"
    return [CheckResult("horovod's build", driver.horovod, group_by_value(others), cure)]


def check_executors(
    executors: Sequence[HostReport], slots: int, ranks: int, error: str
) -> CheckResult:
    said = error or f"{len(executors)} of {slots} slot{'s' * (slots != 1)}"
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
    return CheckResult("executors", "", said, cure)


def check_stores(
    keys: Mapping[str, str],
    probe: StorageProbe,
    driver: HostReport,
    executors: Sequence[HostReport],
) -> list[CheckResult]:
    """A line for each path.

    Args:
        keys: names of the settings, by URL.
    """
    lines = []
    for url in (*probe.reads, *probe.writes):
        writes = url in probe.writes
        own = driver.stores[url]
        others = {place.name: place.stores.get(url, "") or "ok" for place in executors}
        bad = [found for found in others.values() if found != "ok"]
        cure = ""
        if own or bad:
            what = NOT_SHARED if NOT_SHARED in bad else "written" if writes else "read"
            cure = f"paths.{keys[url]} is {url}: {_STORE_CURES[what]}"
        seen = group_by_value(others) if not own or not writes else "not asked"
        lines.append(
            CheckResult(f"{'write' if writes else 'read'} {keys[url]}", own or "ok", seen, cure)
        )
    return lines


_STORE_CURES = {
    NOT_SHARED: "each machine has a folder of its own there; use storage that all of them see",
    "written": "give this user, here and on the executors, the right to list, read, write and "
    "delete there, or choose another path",
    "read": "check the path, and that this user may list and read it here and on the executors",
}


def check_clocks(clock_lag_secs: Mapping[str, float]) -> list[CheckResult]:
    """A line on how far clocks are apart, where there are executors.

    Args:
        late_secs: by how much each executor's clock is behind the driver's.
    """
    if not clock_lag_secs:
        return []
    name, secs = max(clock_lag_secs.items(), key=lambda item: abs(item[1]))
    how = "behind" if secs > 0 else "ahead"
    said = f"{abs(secs):.0f} s {how}" if abs(secs) >= 1 else "within 1 s"
    cure = ""
    if abs(secs) > _MAX_SKEW_SECS:
        cure = f"{name} is {said}: stores refuse requests that are wrongly dated; set it by NTP"
    return [CheckResult("clock", "", said, cure)]


def group_by_value(values: Mapping[str, str]) -> str:
    """What several places have: one value if it is the same, else each with where it is."""
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
    rows = [("", "", "driver", "executors")]
    rows += [("WRONG" if line.is_wrong else "ok", *line[:3]) for line in results]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    said = [f"check on {master}", ""]
    for row, line in zip(rows, (None, *results)):
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        said.append("  ".join([*cells, row[3]]).rstrip())
        if line is not None and line.is_wrong:
            said.append(f"{'':{widths[0]}}    {line.cure}")
    said.append("")
    for place in (driver, *executors):
        said.append(
            f"{place.name}: {place.cores} cores, {place.memory_bytes / 2**30:.1f} GiB, "
            f"{place.gpus} GPUs; Python {place.prefix}, Halftone {place.package}, in {place.folder}"
        )
    return "\n".join(said)
