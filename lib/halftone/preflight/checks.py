"""What a check has seen, judged line by line, with a cure for each that will not do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from halftone.preflight.probe_host import GLOO, Place
from halftone.preflight.probe_storage import NOT_SHARED, Probe

# How the versions begin that Halftone works with; see requirements.txt for why.
NEEDED = {
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
_SHIP = (
    "./build.sh package, then spark-submit with --archives dist/environment.tar.gz#environment "
    "--conf spark.pyspark.python=./environment/bin/python --py-files dist/halftone.zip"
)
_OF_DRIVER = "start the job with the Python of ./build.sh setup, or of dist/environment.tar.gz"
_OF_SPARK = "it comes with Spark: install Spark 3.5, with Java 17, on every node and for the driver"


class Line(NamedTuple):
    what: str
    driver: str
    executors: str
    cure: str = ""  # empty where all is well

    @property
    def is_wrong(self) -> bool:
        return bool(self.cure)


def of_versions(driver: Place, executors: Sequence[Place]) -> list[Line]:
    """A line for each of NEEDED."""
    lines = []
    for name, needed in NEEDED.items():
        own = driver.versions.get(name, _MISSING)
        others = {place.name: place.versions.get(name, _MISSING) for place in executors}
        lines.append(Line(name, own, grouped(others), _cure(name, needed, own, others)))
    return lines


def _cure(name: str, needed: tuple[str, ...], own: str, others: Mapping[str, str]) -> str:
    is_of_spark = name in ("java", "pyspark")
    wanted = " or ".join(version.rstrip(".") for version in needed)
    if not own.startswith(needed):
        return f"driver: {wanted} is needed; {_OF_SPARK if is_of_spark else _OF_DRIVER}"
    cure = _OF_SPARK if is_of_spark else _SHIP
    if not all(version.startswith(needed) for version in others.values()):
        return f"executors: {wanted} is needed; {cure}"
    if name != "java" and any(version != own for version in others.values()):
        return f"executors: {own} is needed, as on the driver; {cure}"
    return ""


def of_horovod(driver: Place, executors: Sequence[Place]) -> list[Line]:
    """A line, where it was looked at."""
    if not driver.horovod:
        return []
    others = {place.name: place.horovod for place in executors}
    cure = ""
    if any(found != GLOO for found in others.values()):
        cure = f"executors: Horovod must be built with Gloo for TensorFlow 2.15; {_SHIP}"
    elif driver.horovod != GLOO:
        cure = f"driver: Horovod must be built with Gloo for TensorFlow 2.15; {_OF_DRIVER}"
    return [Line("horovod's build", driver.horovod, grouped(others), cure)]


def of_executors(executors: Sequence[Place], slots: int, ranks: int, error: str) -> Line:
    said = error or f"{len(executors)} of {slots} slot{'s' * (slots != 1)}"
    cure = ""
    if not slots:
        cure = (
            "see the page of Spark's master for cores and memory that are free, and lower "
            "spark.executor.cores and spark.executor.memory"
        )
    elif error:
        cure = f"executors need Halftone and the driver's Python; {_SHIP}"
    elif slots < ranks:
        cure = f"train.ranks is {ranks}; use train.ranks={slots}, or give Spark more executors"
    return Line("executors", "", said, cure)


def of_stores(
    keys: Mapping[str, str], probe: Probe, driver: Place, executors: Sequence[Place]
) -> list[Line]:
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
        seen = grouped(others) if not own or not writes else "not asked"
        lines.append(Line(f"{'write' if writes else 'read'} {keys[url]}", own or "ok", seen, cure))
    return lines


_STORE_CURES = {
    NOT_SHARED: "each machine has a folder of its own there; use storage that all of them see",
    "written": "give this user, here and on the executors, the right to list, read, write and "
    "delete there, or choose another path",
    "read": "check the path, and that this user may list and read it here and on the executors",
}


def of_clocks(late_secs: Mapping[str, float]) -> list[Line]:
    """A line on how far clocks are apart, where there are executors.

    Args:
        late_secs: by how much each executor's clock is behind the driver's.
    """
    if not late_secs:
        return []
    name, secs = max(late_secs.items(), key=lambda item: abs(item[1]))
    how = "behind" if secs > 0 else "ahead"
    said = f"{abs(secs):.0f} s {how}" if abs(secs) >= 1 else "within 1 s"
    cure = ""
    if abs(secs) > _MAX_SKEW_SECS:
        cure = f"{name} is {said}: stores refuse requests that are wrongly dated; set it by NTP"
    return [Line("clock", "", said, cure)]


def grouped(values: Mapping[str, str]) -> str:
    """What several places have: one value if it is the same, else each with where it is."""
    by_value: dict[str, list[str]] = {}
    for name, value in values.items():
        by_value.setdefault(value, []).append(name)
    if len(by_value) <= 1:
        return "".join(by_value)
    items = sorted(by_value.items(), key=lambda item: -len(item[1]))
    return ", ".join(f"{value} ({_names(names)})" for value, names in items)


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} executors"


def text(master: str, driver: Place, executors: Iterable[Place], lines: Sequence[Line]) -> str:
    rows = [("", "", "driver", "executors")]
    rows += [("WRONG" if line.is_wrong else "ok", *line[:3]) for line in lines]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    said = [f"check on {master}", ""]
    for row, line in zip(rows, (None, *lines)):
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
