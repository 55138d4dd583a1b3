from __future__ import annotations

import sys

import pytest

from halftone import printable, summary


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("cat", "cat"),
        ("Käse 猫 👨\u200d👩", "Käse 猫 👨\u200d👩"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("abc\u202edef\u2066", "abc\\u202edef\\u2066"),
        ("\x00\x7f\x85\u2028", "\\x00\\x7f\\x85\\u2028"),
        ("\udcff", "\\udcff"),
    ],
)
def test_characters_that_do_not_print_are_escaped(text: str, escaped: str) -> None:
    assert printable.escape(text) == escaped


def test_kept_characters() -> None:
    assert printable.escape("a\nb\x1b", kept="\n") == "a\nb\\x1b"


def test_html() -> None:
    assert printable.escape_html("<a\x1b>") == "&lt;a\\x1b&gt;"


def test_a_printed_line(capsys: pytest.CaptureFixture[str]) -> None:
    printable.print_line("a\x1b[31m\nb\u202e")
    printable.print_line("c\r", sys.stderr)
    assert capsys.readouterr() == ("a\\x1b[31m\nb\\u202e\n", "c\\r\n")


def test_cells_of_a_table_are_escaped() -> None:
    assert summary.format_table(["class", "rows"], [["a\nb", "1"], ["\x1b[2J", "12"]]) == (
        "class    rows\n-------  ----\na\\nb        1\n\\x1b[2J    12"
    )
