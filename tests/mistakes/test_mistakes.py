"""Each mistake of the table is made, and gives its message and its exit code."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from mistakes import page, site
from mistakes.mistake import Mistake
from mistakes.table import MISTAKES, SECTIONS

_CONFIGS = {"experiment": "experiment.yaml", "retrain": "retrain.yaml"}
EARLY = [mistake for mistake in MISTAKES if not mistake.is_late]
LATE = [mistake for mistake in MISTAKES if mistake.is_late]


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pattern")
    site.make_site(folder)
    return folder


@pytest.fixture
def folder(pattern: Path, tmp_path: Path) -> Path:
    """A site that a test may change. Its configs name its own folder."""
    shutil.copytree(pattern, tmp_path, dirs_exist_ok=True)
    for config in tmp_path.glob("*.yaml"):
        config.write_text(config.read_text().replace(str(pattern), str(tmp_path)))
    return tmp_path


def command_of(mistake: Mistake, folder: Path) -> list[str]:
    name, *arguments = (argument.replace("{site}", str(folder)) for argument in mistake.command)
    if "--config" not in arguments:
        arguments = ["--config", f"{folder}/{_CONFIGS.get(name, 'run.yaml')}", *arguments]
    return [name, *arguments]


def matches(message: str, text: str, folder: Path) -> bool:
    """Whether a text is a message in which {site} is a folder, and other placeholders anything."""
    literal = re.escape(message.replace("{site}", str(folder)))
    return re.fullmatch(re.sub(r"\\\{\w+\\\}", r"[^\\n]+", literal), text) is not None


def check(mistake: Mistake, ended: site.Ended, folder: Path) -> None:
    expected = mistake.message.replace("{site}", str(folder))
    # The comparison of equal texts shows where they differ.
    assert matches(mistake.message, ended.message, folder) or ended.message == expected
    assert ended.code == mistake.code


@pytest.mark.parametrize("mistake", EARLY, ids=lambda mistake: mistake.did)
def test_a_mistake_is_found_before_spark_starts(mistake: Mistake, folder: Path) -> None:
    with ExitStack() as stack:
        mistake.prepare(folder, stack)
        files = files_of(folder)
        check(mistake, site.run_here(command_of(mistake, folder)), folder)
        assert files <= files_of(folder)


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", LATE, ids=lambda mistake: mistake.did)
def test_a_mistake_is_found_by_a_process(mistake: Mistake, folder: Path) -> None:
    with ExitStack() as stack:
        mistake.prepare(folder, stack)
        check(mistake, site.run_process(command_of(mistake, folder)), folder)


def test_the_page_of_errors_is_up_to_date() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render_page(), (
        "cd tests && python -m mistakes.page"
    )


def test_the_table_has_mistakes_of_all_kinds() -> None:
    names = [mistake.did for mistake in MISTAKES]
    assert len(names) == len({*names}) >= 40
    assert all(SECTIONS.values())
    # "Again" is advice only where the same command may succeed, or where it restores a file.
    again = [m.did for m in MISTAKES if "same command again" in m.message]
    assert again == []
