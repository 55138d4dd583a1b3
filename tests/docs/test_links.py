"""Links of pages that MkDocs does not check, and paths of this repository that pages name.

MkDocs checks the links within docs/ (./build.sh lint). Links to other sites are not fetched.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from doc_blocks import PAGES, ROOT

LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
# A path in a code span: `conf/local.yaml`, `lib/halftone/config/`.
PATH = re.compile(
    r"`((?:lib|jobs|conf|tests|benchmarks|notebooks|docs|\.ci)/[\w./-]*|build\.sh|[\w-]+\.(?:toml|txt))`"
)
OUTSIDE = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")]
NOT_HERE = {"packages.txt"}  # of a folder of wheels for Databricks


def anchors(page: Path) -> set[str]:
    """The anchors that MkDocs and GitHub make of a page's headings of simple words."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", OUTSIDE, ids=lambda page: page.name)
def test_a_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize(
    "page", sorted({*PAGES, *OUTSIDE}), ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_a_path_in_a_page_exists(page: Path) -> None:
    paths = sorted(set(PATH.findall(page.read_text(encoding="utf-8"))) - NOT_HERE)
    missing = [path for path in paths if "NAME" not in path and not (ROOT / path).exists()]
    assert missing == []


def test_pages_that_the_program_names_exist() -> None:
    """Error messages, comments and docstrings send the reader to pages."""
    folders = ("lib", "jobs", "conf", "tests", "benchmarks")
    files = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yaml", ".yml", ".sh", ".j2", ".md", ".service", ".timer")
    ]
    named = {
        (name, path.relative_to(ROOT).as_posix())
        for path in files
        for name in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text(encoding="utf-8"))
    }
    assert len({name for name, _ in named}) >= 10
    assert [one for one in sorted(named) if not (ROOT / one[0]).exists()] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
