"""The settings of the site: what ends a strict build, such as that of ./build.sh lint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from doc_blocks import ROOT

PAGE = """# Home

[no page](nowhere.md), [no heading](other.md#nowhere), [a heading](other.md#here), [none](/other.md)
"""


def test_broken_links_and_pages_out_of_the_navigation_end_the_build(tmp_path: Path) -> None:
    # The site's own settings, which load faster without the theme and the API reference.
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    settings.update(theme="mkdocs", plugins=[], nav=[{"Home": "index.md"}, {"Other": "other.md"}])
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings))
    pages = {"index": PAGE, "other": "# Other\n\n## Here\n", "lost": "# Lost\n"}
    (tmp_path / "docs").mkdir()
    for name, text in pages.items():
        (tmp_path / "docs" / f"{name}.md").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 1
    warnings = [line for line in done.stderr.splitlines() if line.startswith(("WARN", "  -"))]
    assert len(warnings) == 5, done.stderr
    assert "  - lost.md" in warnings
    assert "a link 'nowhere.md', but the target is not found" in done.stderr
    assert "a link 'other.md#nowhere', but the doc 'other.md' does not contain" in done.stderr
    assert "an absolute link '/other.md'" in done.stderr
