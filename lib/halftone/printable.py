"""Text of users, such as names of classes and files, for terminals, tables and pages."""

from __future__ import annotations

import html
import sys
import unicodedata
from typing import Optional, TextIO

# Control characters, which terminals obey; separators of lines; halves of characters, which cannot
# be encoded.
_ESCAPED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
# Characters that change the order in which the characters after them are shown.
_ESCAPED_DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def escape(text: str, kept: str = "") -> str:
    r"""Return `text` with an escape such as \x1b or \u202e for each character that does not print.

    Args:
        kept: characters that stay, such as a newline.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if character not in kept
        and (
            unicodedata.category(character) in _ESCAPED_CATEGORIES
            or unicodedata.bidirectional(character) in _ESCAPED_DIRECTIONS
        )
        else character
        for character in text
    )


def escape_line(text: str) -> str:
    """Return `text` on one line: `escape`, with one space for each run of spaces and newlines."""
    return escape(" ".join(text.split()))


def escape_html(text: str) -> str:
    """Return `text` as HTML, with the escapes of `escape`."""
    return html.escape(escape(text))


def print_line(text: str, stream: Optional[TextIO] = None) -> None:
    """Print a line that holds names or paths to `stream`, stdout by default; newlines stay."""
    print(escape(text, kept="\n\t"), file=stream or sys.stdout, flush=True)
