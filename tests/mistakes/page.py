"""Write docs/explanation/errors.md from the table.

python -m mistakes.page        (in the folder tests, with the Python of ./build.sh setup)
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from mistakes.mistake import Mistake
from mistakes.table import SECTIONS

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "errors.md"
_PLACEHOLDERS = {
    "pid": "1234",
    "host": "node1",
    "time": "2026-01-02 03:04:05",
    "secs": "3",
    "commands": "...",
}
_INTRODUCTION = """\
# Messages of errors

<!-- Written by tests/mistakes/page.py from the table in tests/mistakes, whose mistakes are made and
     compared with these messages in each run of the tests. -->

A mistake gives one message on standard error, without a traceback, and an exit code: 2 if something
must be changed before the same command can succeed, 1 if it may be tried again, 75 if another job
writes to the same output. A message says "run the same command again" only where that helps. What
is below is all that the commands print for these mistakes. `site` stands for a folder, and the flag
`--config site/run.yaml` is left out.

Nearly all of them are found before Spark or TensorFlow starts; those that are not are in the last
section.
"""


def render_page() -> str:
    """Return the page as Markdown."""
    return "\n".join([_INTRODUCTION, *_render_sections()])


def _render_sections() -> Iterator[str]:
    for heading, mistakes in SECTIONS.items():
        yield f"## {heading}\n"
        for mistake in mistakes:
            yield _render(mistake)


def _render(mistake: Mistake) -> str:
    is_word = mistake.did.split()[0].isalpha()
    heading = mistake.did[0].upper() + mistake.did[1:] if is_word else mistake.did
    command = shlex.join(_fill(argument) for argument in mistake.command)
    code = "" if mistake.code == 2 else f"\n\nExit code {mistake.code}."
    return f"""\
### {heading}

```text
$ halftone {command}
{_fill(mistake.message)}
```

{mistake.meaning} **Cure:** {mistake.cure}{code}
"""


def _fill(text: str) -> str:
    """Replace the placeholders by examples, and the folder of the site by a relative path."""
    text = text.replace("{site}/", "site/")
    for name, example in _PLACEHOLDERS.items():
        text = re.sub(rf"\{{{name}\}}", example, text)
    return text


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render_page(), encoding="utf-8")
