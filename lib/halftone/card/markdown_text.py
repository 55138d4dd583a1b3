"""Markdown in which texts of users, such as names of classes, show as they are.

The text is read alike by GitHub, by Hugging Face and by the package Markdown, see `card.page`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import yaml

from halftone import printable

# Characters that would begin emphasis, code or a link, or that would end a heading.
_MARKS = re.compile(r"[\\`*_\[\]]|#(?=#*$)")
# Those of HTML, of a formula and of a cell of a table.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "~": "&#126;", "$": "&#36;"}
_ENTITY_MARKS = re.compile("|".join(map(re.escape, _ENTITIES)))
# What would make a heading, a list, a rule or a table of a paragraph that begins with it.
_FIRST_MARK = re.compile(r"^(?:[#+-]|\d+(?=[.)]))")
_BLANK_LINES = re.compile(r"\n[ \t]*\n")
NOT_STATED = "not stated"


def escape(text: str) -> str:
    """Return a text as Markdown that shows it, within a line; runs of spaces become one."""
    text = _MARKS.sub(r"\\\g<0>", printable.escape_line(text))
    return _ENTITY_MARKS.sub(lambda match: _ENTITIES[match[0]], text)


def code(text: str) -> str:
    """Return a name, a path or a digest in a typewriter font, if Markdown can show it so."""
    line = printable.escape_line(text)
    return f"`{line}`" if line and not set("`|\\") & set(line) else escape(text)


def paragraphs(text: Optional[str], setting: str) -> str:
    """Return a text of the section `card` of the config as paragraphs.

    Args:
        text: blank lines separate paragraphs; None if the setting is not set.
        setting: its name, such as card.licence.
    """
    parts = [part for part in _BLANK_LINES.split(text or "") if part.strip()]
    return "\n\n".join(map(_paragraph, parts)) or stated(None, setting)


def stated(text: Optional[str], setting: str) -> str:
    """Return a text of the section `card` of the config within a line, see `paragraphs`."""
    return escape(text or "") or f"{NOT_STATED} ({code(setting)})"


def _paragraph(text: str) -> str:
    line = escape(text)
    first = _FIRST_MARK.match(line)
    if first is None:
        return line
    digits = first[0] if first[0].isdigit() else ""
    return f"{digits}\\{line[len(digits) :]}"


def bullets(items: Sequence[str]) -> str:
    """Return a list of items, each of which is Markdown on one line."""
    return "\n".join(f"- {item}" for item in items)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], num_texts: int = 1) -> str:
    """Return a table.

    Args:
        header: Markdown on one line, as all cells.
        num_texts: columns from the left that are texts; those after them are numbers.
    """
    rules = ["---" if column < num_texts else "---:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rules, *rows])


def yaml_block(values: Mapping[str, Any]) -> str:
    """Return nested settings as a block of YAML."""
    text = _dump(values) if values else "# all settings have their defaults\n"
    return f"```yaml\n{text}```"


def front_matter(values: Mapping[str, Any]) -> str:
    """Return the metadata at the beginning of a card, which Hugging Face reads."""
    return f"---\n{_dump(values)}---"


def licence_metadata(licence: Optional[str]) -> dict[str, str]:
    """Return the metadata for a licence: an identifier as on Hugging Face, or a name."""
    if licence is None:
        return {}
    if re.fullmatch(r"[a-z][a-z0-9.+-]*", licence):
        return {"license": licence}
    return {"license": "other", "license_name": printable.escape_line(licence)}


def _dump(values: Mapping[str, Any]) -> str:
    text = _dump_yaml(values, allow_unicode=True)
    if yaml.safe_load(text) != values:  # such as a text with U+0085, which YAML takes for a newline
        text = _dump_yaml(values, allow_unicode=False)
    # A line of three backticks would end the block; YAML writes it only in a text of many lines.
    return text.replace("```", "'''")


def _dump_yaml(values: Mapping[str, Any], allow_unicode: bool) -> str:
    text: str = yaml.safe_dump(
        dict(values), sort_keys=False, allow_unicode=allow_unicode, width=100
    )
    return text
