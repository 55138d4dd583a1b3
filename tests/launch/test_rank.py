"""The environment variables that a rank sets before it loads Horovod."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

# Trains until Horovod is imported, prints the environment at that point, and exits.
TRAIN_UNTIL_HOROVOD = """
import json, os, sys
from halftone.config import config_from_mapping
from halftone.launch import rank

def exit_at_horovod(event, arguments):
    if event == "import" and arguments[0] == "horovod.tensorflow":
        print(json.dumps(dict(os.environ)), flush=True)
        os._exit(0)

sys.addaudithook(exit_at_horovod)
config = config_from_mapping({"train": json.loads(sys.argv[1])}, source="test")
rank.train_in_process(config, None, "dataset", "output")
"""
DEFAULTS = {
    "HOROVOD_CYCLE_TIME": "1",
    "HOROVOD_GLOO_TIMEOUT_SECONDS": "60",
    "HOROVOD_LOG_LEVEL": "error",
    "HOROVOD_STALL_CHECK_TIME_SECONDS": "30",
    "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": "60",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
PREFIXES = ("HOROVOD_", "TF_CPP_")


@pytest.mark.parametrize(
    ("settings", "user_environment", "changes"),
    [
        ({}, {}, {}),
        ({"cycle_ms": 2.5}, {}, {"HOROVOD_CYCLE_TIME": "2.5"}),
        # The user's environment goes before the config and the defaults.
        (
            {"cycle_ms": 10},
            {"HOROVOD_CYCLE_TIME": "3", "HOROVOD_GLOO_TIMEOUT_SECONDS": "5"},
            {"HOROVOD_CYCLE_TIME": "3", "HOROVOD_GLOO_TIMEOUT_SECONDS": "5"},
        ),
    ],
)
def test_environment_when_horovod_is_loaded(
    settings: dict[str, Any], user_environment: dict[str, str], changes: dict[str, str]
) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(PREFIXES)}
    process = subprocess.run(
        [sys.executable, "-c", TRAIN_UNTIL_HOROVOD, json.dumps(settings)],
        env={**inherited, **user_environment},
        capture_output=True,
        text=True,
        check=True,
    )
    environment = json.loads(process.stdout)
    actual = {k: v for k, v in environment.items() if k.startswith(PREFIXES)}
    assert actual == {**DEFAULTS, **changes}
