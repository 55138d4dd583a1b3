"""What a run of the tests needs, and what it left out: hooks that conftest.py gives to pytest.

A test that needs a program is marked `needs(NAME)`. Without that program it is skipped on a desk,
and fails in CI, where the program could have been installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple

import pytest

import browser
import delta_lake
import hadoop_cluster
import store_servers
from halftone.system import interfaces


class Tool(NamedTuple):
    is_available: Callable[[], bool]
    how_to_get_it: str


def _can_mount() -> bool:
    """Whether this user may mount, which root of most containers may not."""
    return not subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode


TOOLS = {
    "chromium": Tool(
        lambda: browser.CHROMIUM is not None,
        "apt-get install chromium",
    ),
    "delta-lake": Tool(delta_lake.is_available, delta_lake.INSTALL),
    "hadoop": Tool(hadoop_cluster.is_available, hadoop_cluster.INSTALL),
    "djxl": Tool(lambda: bool(shutil.which("djxl")), "apt-get install libjxl-tools"),
    "mount": Tool(_can_mount, "run the tests as root; in a container, with --cap-add SYS_ADMIN"),
    "systemd": Tool(lambda: bool(shutil.which("systemd-analyze")), "apt-get install systemd"),
    "fake-gcs-server": Tool(store_servers.FAKE_GCS_SERVER.exists, store_servers.INSTALL),
    "gofakes3": Tool(store_servers.GOFAKES3.exists, store_servers.INSTALL),
    "azurite": Tool(store_servers.AZURITE.exists, store_servers.INSTALL),
    "airflow": Tool(
        lambda: "HALFTONE_AIRFLOW" in os.environ,
        "HALFTONE_AIRFLOW=PYTHON of a virtual environment with apache-airflow==2.10.5",
    ),
}
_num_left_out = 0


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        (name,) = marker.args
        if not TOOLS[name].is_available():
            message = f"needs {name}: {TOOLS[name].how_to_get_it}"
            if "CI" in os.environ:
                pytest.fail(message, pytrace=False)
            pytest.skip(message)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort tests for the workers of pytest-xdist, each of which gets a part of the list first.

    Long tests are first, so that no worker waits long at the end. Tests with Spark Connect are
    together, so that few workers start a server.
    """
    items.sort(
        key=lambda item: (item.get_closest_marker("slow") is None, not _uses_connect(item)),
    )


def _uses_connect(item: pytest.Item) -> bool:
    params = item.callspec.params if hasattr(item, "callspec") else {}
    names = getattr(item, "fixturenames", ())
    return params.get("any_spark") == "connect" or "connect_session" in names


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    global _num_left_out
    _num_left_out += len(items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    # With pytest-xdist the workers select the tests, each of them all.
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["num_left_out"] = _num_left_out


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    global _num_left_out
    _num_left_out = getattr(node, "workeroutput", {}).get("num_left_out", 0)


def pytest_unconfigure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workeroutput"):
        return
    skipped = reporter.stats.get("skipped", [])
    reasons = sorted({str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped})
    if _num_left_out:
        print(f"Left out: {_num_left_out} tests. To run all: ./build.sh test --all")
    if skipped:
        print(f"Skipped: {len(skipped)} tests ({'; '.join(reasons)})")
    problem = interfaces.rank_network_problem() if reporter.stats.get("failed") else ""
    if problem:
        print(f"Tests that train on several ranks fail on this machine: {problem}")
