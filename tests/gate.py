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
    """Sort tests for the workers of pytest-xdist, which first divides the list equally among them.

    The part of each worker begins with its share of the slow tests, so that none of these is left
    for the end. Tests with Spark Connect, for which a worker starts a server, are in the last part.
    """
    num_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    fast = [item for item in items if not item.get_closest_marker("slow")]
    fast.sort(key=_uses_connect)
    arranged: list[pytest.Item] = []
    for worker, share in enumerate(_divide_among_workers(slow, num_workers)):
        end = len(items) * (worker + 1) // num_workers
        num_fast = max(0, end - len(arranged) - len(share))
        arranged += [*share, *fast[:num_fast]]
        del fast[:num_fast]
    items[:] = [*arranged, *fast]


def _divide_among_workers(slow: list[pytest.Item], num_workers: int) -> list[list[pytest.Item]]:
    """Return about as many tests for each worker; those of a module stay together."""
    shares: list[list[pytest.Item]] = [[] for _ in range(num_workers)]
    shares[-1] = [item for item in slow if _uses_connect(item)]
    modules: dict[str, list[pytest.Item]] = {}
    for item in slow:
        if not _uses_connect(item):
            modules.setdefault(item.nodeid.partition("::")[0], []).append(item)
    for module in sorted(modules.values(), key=len, reverse=True):
        min(shares, key=len).extend(module)
    return shares


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
