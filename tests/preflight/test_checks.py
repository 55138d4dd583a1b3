from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from halftone.images import decoder_packages
from halftone.preflight import checks, probe_host
from halftone.preflight.checks import CheckResult
from halftone.preflight.probe_host import HostReport
from halftone.preflight.probe_storage import NOT_SHARED, StorageProbe

ROOT = Path(__file__).parents[2]
GOOD = {
    "python": "3.11.7",
    "java": "17.0.15",
    "pyspark": "3.5.9",
    "tensorflow": "2.15.1",
    "horovod": "0.28.1",
    "petastorm": "0.12.1",
    "pyarrow": "10.0.1",
    "numpy": "1.26.4",
    "pandas": "2.2.3",
    "opencv-python-headless": "4.11.0.86",
    "simplejpeg": "1.9.0",
    "fsspec": "2025.10.0",
}
EXECUTOR_CURE = (
    "./build.sh package, then spark-submit with --archives dist/environment.tar.gz#environment "
    "--conf spark.pyspark.python=./environment/bin/python --py-files dist/halftone.zip"
)


def report(name: str, **versions: str) -> HostReport:
    installed = {key: version for key, version in {**GOOD, **versions}.items() if version}
    return HostReport(
        name, installed, 4, 8 * 2**30, 1, "gloo", {}, "/env", "/zip/halftone", "/work"
    )


def failed(results: list[CheckResult]) -> list[CheckResult]:
    return [result for result in results if result.is_wrong]


def test_required_versions_agree_with_requirements() -> None:
    text = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [Requirement(line) for line in text if line and not line.startswith("#")]
    pinned = {pin.name: str(pin.specifier).removeprefix("==") for pin in pins}
    required = {k: v for k, v in checks.REQUIRED_VERSIONS.items() if k not in ("python", "java")}
    assert {name: pinned[name] for name in required if pinned[name].startswith(required[name])} == {
        name: pinned[name] for name in required
    }
    assert {*probe_host.PACKAGES, "pyspark"} == set(required)


def test_required_versions_pass() -> None:
    results = checks.check_versions(report("driver"), [report("a"), report("b")])
    assert [result.name for result in results] == list(GOOD)
    assert failed(results) == []
    assert results[3] == CheckResult("tensorflow", "2.15.1", "2.15.1")


@pytest.mark.parametrize(
    ("driver", "executor", "expected"),
    [
        (
            {},
            {"tensorflow": "2.16.1"},
            CheckResult(
                "tensorflow",
                "2.15.1",
                "2.15.1 (a), 2.16.1 (b)",
                f"executors: 2.15 is needed; {EXECUTOR_CURE}",
            ),
        ),
        (
            {},
            {"petastorm": ""},
            CheckResult(
                "petastorm",
                "0.12.1",
                "0.12.1 (a), missing (b)",
                f"executors: 0.12.1 is needed; {EXECUTOR_CURE}",
            ),
        ),
        (
            {},
            {"python": "3.10.4"},
            CheckResult(
                "python",
                "3.11.7",
                "3.11.7 (a), 3.10.4 (b)",
                f"executors: 3.11.7 is needed, as on the driver; {EXECUTOR_CURE}",
            ),
        ),
        (
            {"numpy": "2.1.0"},
            {},
            CheckResult(
                "numpy",
                "2.1.0",
                "1.26.4",
                "driver: 1.26 is needed; start the job with the Python of ./build.sh setup, or of "
                "dist/environment.tar.gz",
            ),
        ),
        (
            {},
            {"java": "21.0.1"},
            CheckResult(
                "java",
                "17.0.15",
                "17.0.15 (a), 21.0.1 (b)",
                "executors: 17 is needed; it comes with Spark: install Spark 3.5, with Java 17, on "
                "every node and for the driver",
            ),
        ),
    ],
)
def test_wrong_version(
    driver: dict[str, str], executor: dict[str, str], expected: CheckResult
) -> None:
    executors = [report("a"), report("b", **executor)]
    results = checks.check_versions(report("driver", **driver), executors)
    assert failed(results) == [expected]


def test_java_of_executors_may_differ() -> None:
    assert failed(checks.check_versions(report("driver"), [report("a", java="17.0.2")])) == []


def test_horovod_build() -> None:
    driver, bad = report("driver"), report("a")._replace(horovod="no gloo")
    assert checks.check_horovod(driver._replace(horovod=""), [bad]) == []
    assert failed(checks.check_horovod(driver, [report("a")])) == []
    assert checks.check_horovod(driver, [bad]) == [
        CheckResult(
            "horovod's build",
            "gloo",
            "no gloo",
            f"executors: Horovod must be built with Gloo for TensorFlow 2.15; {EXECUTOR_CURE}",
        )
    ]


def test_executors_and_slots() -> None:
    executors = [report("a"), report("b")]
    result = checks.check_executors(executors, 4, 4, "")
    assert result == CheckResult("executors", "", "2 of 4 slots")
    assert checks.check_executors(executors, 4, 8, "").cure == (
        "train.ranks is 8; use train.ranks=4, or give Spark more executors"
    )
    assert checks.check_executors([], 0, 1, "no executor has started") == CheckResult(
        "executors",
        "",
        "no executor has started",
        "see the page of Spark's master for cores and memory that are free, and lower "
        "spark.executor.cores and spark.executor.memory",
    )


def test_gpus_that_no_task_uses_get_a_remark() -> None:
    remark = (
        "Spark assigns no GPU to a task, so the job predicts on the CPU; set "
        "spark.executor.resource.gpu.amount and spark.task.resource.gpu.amount, or "
        "CUDA_VISIBLE_DEVICES on the executors (docs/how-to/cluster.md, GPUs for scoring)"
    )
    idle, busy = report("a"), report("b")._replace(named_gpus="1")
    (result,) = checks.check_scoring_gpus([idle, busy])
    assert result == CheckResult("GPUs for scoring", "", "not used (a), used (b)", "", remark)
    assert not result.is_wrong
    assert checks.check_scoring_gpus([busy, busy._replace(name="c", named_gpus="")]) == [
        CheckResult("GPUs for scoring", "", "used")
    ]
    assert checks.check_scoring_gpus([idle._replace(gpus=0)]) == []


def stores(reads: str, writes: str) -> list[CheckResult]:
    driver = report("driver")._replace(stores={"/images": "", "s3://b/data": ""})
    executor = report("a")._replace(stores={"/images": reads, "s3://b/data": writes})
    keys = {"/images": "images", "s3://b/data": "dataset"}
    probe = StorageProbe(("/images",), ("s3://b/data",), "token")
    return checks.check_stores(keys, probe, driver, [report("b"), executor])


def test_stores() -> None:
    assert stores("", "") == [
        CheckResult("read images", "ok", "ok"),
        CheckResult("write dataset", "ok", "ok"),
    ]
    assert stores("nothing is there", NOT_SHARED) == [
        CheckResult(
            "read images",
            "ok",
            "ok (b), nothing is there (a)",
            "paths.images is /images: check the path, and that this user may list and read it "
            "here and on the executors",
        ),
        CheckResult(
            "write dataset",
            "ok",
            "ok (b), what the driver wrote is not there (a)",
            "paths.dataset is s3://b/data: each machine has a different folder there; use storage "
            "that all machines share",
        ),
    ]
    assert stores("", "PermissionError: Forbidden")[1].cure == (
        "paths.dataset is s3://b/data: give this user, here and on the executors, permission to "
        "list, read, write and delete there, or choose another path"
    )


def test_clocks() -> None:
    assert checks.check_clocks({}) == []
    assert checks.check_clocks({"a": 0.0, "b": -0.4}) == [CheckResult("clock", "", "within 1 s")]
    assert checks.check_clocks({"a": 12.0}) == [CheckResult("clock", "", "12 s behind")]
    assert checks.check_clocks({"a": 3.0, "b": -61.0}) == [
        CheckResult(
            "clock",
            "",
            "61 s ahead",
            "the clock of b is 61 s ahead: stores refuse requests with a wrong date; synchronise "
            "it by NTP",
        )
    ]


def test_executors_with_the_same_value_are_counted() -> None:
    values = {"a": "1", "b": "2", "c": "1", "d": "1"}
    assert checks.group_by_value(values) == "1 (3 executors), 2 (b)"


def test_report() -> None:
    results = [
        CheckResult("python", "3.11.7", "3.11.7"),
        CheckResult("numpy", "2.1.0", "1.26.4", "use 1.26"),
        CheckResult("GPUs", "", "idle", remark="use them"),
    ]
    assert checks.format_report("yarn", report("driver"), [report("a")], results).splitlines() == [
        "check on yarn",
        "",
        "               driver  executors",
        "ok     python  3.11.7  3.11.7",
        "WRONG  numpy   2.1.0   1.26.4",
        "         use 1.26",
        "note   GPUs            idle",
        "         use them",
        "",
        "driver: 4 cores, 8.0 GiB, 1 GPUs; Python /env, Halftone /zip/halftone, in /work",
        "a: 4 cores, 8.0 GiB, 1 GPUs; Python /env, Halftone /zip/halftone, in /work",
    ]


def test_the_report_names_formats_that_a_host_cannot_decode() -> None:
    host = report("a")._replace(missing_formats="HEIC, JPEG XL")
    assert checks.format_report("yarn", report("driver"), [host], []).splitlines()[-2:] == [
        "driver: 4 cores, 8.0 GiB, 1 GPUs; Python /env, Halftone /zip/halftone, in /work",
        "a: 4 cores, 8.0 GiB, 1 GPUs; Python /env, Halftone /zip/halftone, in /work; no decoder of "
        "HEIC, JPEG XL: pip install 'halftone[formats]'",
    ]


def test_missing_formats_are_those_of_packages_that_are_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert decoder_packages.missing_titles() == []
    monkeypatch.setattr(decoder_packages.importlib.util, "find_spec", lambda _: None)
    assert decoder_packages.missing_titles() == ["HEIC", "JPEG XL", "DICOM"]


def test_ranks_need_a_network_where_they_run() -> None:
    driver, good = report("driver"), report("a")
    bad = report("b")._replace(network_problem="add a line to /etc/hosts")
    assert checks.check_rank_network(driver, [good, bad], 1, on_executors=True) == []
    assert checks.check_rank_network(driver, [good, bad], 2, on_executors=True) == [
        CheckResult("ranks' network", "", "ok (a), none (b)", "add a line to /etc/hosts")
    ]
    assert checks.check_rank_network(driver, [good, bad], 2, on_executors=False) == [
        CheckResult("ranks' network", "ok", "")
    ]
    bad_driver = driver._replace(network_problem="add a line to /etc/hosts")
    assert checks.check_rank_network(bad_driver, [], 2, on_executors=False) == [
        CheckResult("ranks' network", "none", "", "add a line to /etc/hosts")
    ]
