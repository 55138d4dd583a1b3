from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from halftone import cli
from halftone.config import Config
from halftone.errors import InputError
from halftone.preflight import check, probe_host
from halftone.spark.frames import map_tables

FLAGS = {"--input": "images", "--output": "dataset"}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    path = tmp_path / "run.yaml"
    path.write_text(f"paths: {{images: {tmp_path}/images, dataset: {tmp_path}/out/dataset}}\n")
    return path


def run(conf: Path, *arguments: str) -> int:
    flags = cli.JobFlags(FLAGS, output_keys=["dataset"])
    parser = cli.CommandParser()
    flags.add_to(parser)
    args = parser.parse_args(["--config", str(conf), "--check", *arguments])
    return cli.run_job(lambda _: pytest.fail("the job ran"), flags, args)


def test_check_passes_and_leaves_no_files(
    spark: SparkSession, conf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert run(conf) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "check on local[2, 4]"
    assert lines[2] == "driver executors"
    assert "ok tensorflow 2.15.1 2.15.1" in lines
    assert "ok executors 1 of 2 slots" in lines
    assert "ok read images ok ok" in lines
    assert "ok write dataset ok ok" in lines
    assert "ok clock within 1 s" in lines
    assert not [line for line in lines if "horovod's build" in line]  # only for training
    assert next(line.split(":")[0] for line in lines if "Halftone" in line) == "driver"
    assert sorted(tmp_path.rglob("*")) == before


def test_failed_checks_are_reported_with_a_cure(
    spark: SparkSession, conf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    dataset = f"{tmp_path}/file/dataset"
    assert run(conf, "--input", f"{tmp_path}/nowhere", "--output", dataset) == 2
    captured = capsys.readouterr()
    lines = [" ".join(line.split()) for line in captured.out.splitlines()]
    first = lines.index("WRONG read images nothing is there nothing is there")
    assert lines[first + 1] == (
        f"paths.images is {tmp_path}/nowhere: check the path, and that this user may list and read "
        "it here and on the executors"
    )
    assert lines[first + 2] == "WRONG write dataset NotADirectoryError: Not a directory not checked"
    assert lines[first + 3] == (
        f"paths.dataset is {dataset}: give this user, here and on the executors, permission to "
        "list, read, write and delete there, or choose another path"
    )
    last_line = captured.err.splitlines()[-1]
    assert re.fullmatch(r"error: 2 of \d\d checks failed; see the report above", last_line)


def test_executors_without_halftone(
    spark: SparkSession,
    config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail_import(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'halftone'")

    monkeypatch.setattr(check, "_inspect_executor", fail_import)
    with pytest.raises(InputError, match=r"^1 of \d\d checks failed; see the report above$"):
        check.check_cluster(config(), {}, {})
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    row = lines.index("WRONG executors ModuleNotFoundError: No module named 'halftone'")
    assert lines[row + 1] == (
        "executors need Halftone and the driver's Python; ./build.sh package, then spark-submit "
        "with --archives dist/environment.tar.gz#environment --conf "
        "spark.pyspark.python=./environment/bin/python --py-files dist/halftone.zip"
    )


def report_of_a_check(
    capsys: pytest.CaptureFixture[str], config: Config, outputs: dict[str, str]
) -> list[str]:
    check.check_cluster(config, {}, outputs)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_check_of_scoring_tells_of_gpus_that_no_task_uses(
    spark: SparkSession,
    config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The number of cards is made up in the worker; all else is real."""
    inspect, named = check._inspect_executor, ""

    def inspect_with_gpus(*arguments: Any) -> Iterator[pa.Table]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(probe_host, "count_gpus", lambda: 2)
            patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
            if named:
                patch.setenv("CUDA_VISIBLE_DEVICES", named)
            yield from inspect(*arguments)

    scores, dataset = {"scores": f"{tmp_path}/scores"}, {"dataset": f"{tmp_path}/dataset"}
    assert not [
        line for line in report_of_a_check(capsys, config(), scores) if "GPUs for scoring" in line
    ]
    monkeypatch.setattr(check, "_inspect_executor", inspect_with_gpus)
    lines = report_of_a_check(capsys, config(), scores)
    assert lines[lines.index("note GPUs for scoring not used") + 1] == (
        "Spark assigns no GPU to a task, so the job predicts on the CPU; set "
        "spark.executor.resource.gpu.amount and spark.task.resource.gpu.amount, or "
        "CUDA_VISIBLE_DEVICES on the executors (docs/how-to/cluster.md, GPUs for scoring)"
    )
    assert not [
        line for line in report_of_a_check(capsys, config(), dataset) if "GPUs for scoring" in line
    ]
    named = "0"
    assert "ok GPUs for scoring used" in report_of_a_check(capsys, config(), scores)


NAME = pa.schema([pa.field("name", pa.string())])


def name_executor(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield pa.table([[probe_host.executor_name()]], schema=NAME)


def test_workers_of_an_executor_have_its_name(spark: SparkSession) -> None:
    rows = map_tables(spark.range(0, 2, 1, 2), name_executor, NAME).collect()
    assert len(rows) == 2
    assert len(set(rows)) == 1
    assert re.fullmatch(r".+, pid \d+", rows[0].name)
