"""The blocks of code in README.md and docs/."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
# Pages that are written by a program are tested where they are written.
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
_FENCE = re.compile(
    r"(?:^[ ]*<!--(?P<mark>(?:(?!-->).)*)-->\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_SCRIPT = re.compile(
    r"(?:jobs|benchmarks|conf/deploy|docs)/[\w/]+\.(?:py|sh)|\./build\.sh|halftone\.\w+|halftone"
)
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
_VARIABLE = re.compile(r"[A-Z_]+=.*", re.DOTALL)
_ENDS = ";&|\n"


class Block(NamedTuple):
    """A fenced block."""

    page: str
    """Path below the root of the repository."""
    line: int
    """Number of its first fence."""
    language: str
    mark: str
    """The HTML comment on the line before the block; empty if there is none."""
    text: str


def read_blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page of Markdown, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page.relative_to(ROOT).as_posix(),
            text.count("\n", 0, match.start("language")) + 1,
            match["language"],
            (match["mark"] or "").strip(),
            re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE),
        )
        for match in _FENCE.finditer(text)
    ]


def find_code(page: str, start: str) -> str:
    """Return the only block of a page that begins with `start`."""
    (text,) = (block.text for block in read_blocks(ROOT / page) if block.text.startswith(start))
    return text


class Command(NamedTuple):
    """A command in a block of shell code."""

    page: str
    line: int
    """Number of the first fence of its block."""
    mark: str
    words: tuple[str, ...]
    """Without variables before the program, redirections and comments."""

    @property
    def program(self) -> str:
        """A script, a module or a sub-command of this repository, or the first word.

        What starts a job on a cluster stands for the job.
        """
        name = next(filter(_SCRIPT.fullmatch, self.words), self.words[0])
        if name.startswith("conf/deploy/") and name.endswith(".sh"):
            return f"jobs/{self.words[1]}.py"
        if name in ("halftone", "./build.sh"):
            return " ".join(word for word in self.words[:2] if not word.startswith("-"))
        return name

    @property
    def flags(self) -> list[str]:
        """The flags of the program, each once, sorted."""
        script = next(filter(_SCRIPT.fullmatch, self.words), self.words[0])
        after = self.words[self.words.index(script) :]
        return sorted({word.split("=")[0] for word in after if word.startswith("--")})

    @property
    def kind(self) -> str:
        """The program and its flags, without their values."""
        return " ".join((self.program, *self.flags))

    def values(self, flag: str) -> list[str]:
        """The words that follow a flag."""
        return [value for word, value in zip(self.words, self.words[1:]) if word == flag]


def read_commands(page: Path) -> list[Command]:
    """Return the commands of a page's blocks of shell code, in their order."""
    return [
        Command(block.page, block.line, block.mark, words)
        for block in read_blocks(page)
        if block.language == "sh"
        for words in _split(block.text)
    ]


def _split(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command of shell code."""
    text = _COMMENT.sub("", text.replace("\\\n", " "))
    lexer = shlex.shlex(text, posix=True, punctuation_chars=f"{_ENDS}<>")
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    words: list[str] = []
    is_target = False  # of a redirection
    for word in [*lexer, "\n"]:
        if set(word) <= set(_ENDS):
            while words and _VARIABLE.fullmatch(words[0]):
                del words[0]
            if words and words[0] != "export":
                yield (words[0].replace(".venv/bin/", ""), *words[1:])
            words = []
        elif not is_target and not set(word) <= set("<>"):
            words.append(word)
        is_target = set(word) <= set("<>")
