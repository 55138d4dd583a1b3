"""Texts of users in Markdown, shown by the package Markdown as they are."""

from __future__ import annotations

from typing import Optional

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

import card_pages
from halftone import printable
from halftone.card import markdown_text

HOSTILE = "<script>alert(1)</script> **a** _b_ `c` [d](e) | $f$ ~~g~~ &amp; ![h](i) \\*"
MARKS = st.text(st.sampled_from("<>&*_`[]()|\\~$#+-=.!1: \n\tab\u202e\x00"), max_size=30)


@settings(max_examples=50)
@given(st.one_of(MARKS, st.text(max_size=30)))
@example(HOSTILE)
@example("\x02\x03 1. # - + > \u2028")
def test_a_text_is_shown_as_it_is(text: str) -> None:
    line = printable.escape_line(text)
    table = markdown_text.table(["a", "b"], [["x", markdown_text.escape(text)]])
    document = f"# x {markdown_text.escape(text)}\n\n{table}\n"
    shown = card_pages.read(document)
    assert shown.texts("h1") == [f"x {line}".strip()]
    assert shown.texts("td") == ["x", line]
    tags = ["h1", "div", "table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]
    assert shown.tags == tags


@given(st.one_of(MARKS, st.text(max_size=30)))
@example("1. one")
@example("- one")
@example("# one")
@example("===")
@example("    four spaces")
def test_a_paragraph_is_shown_as_it_is(text: str) -> None:
    parts = [part for part in text.replace("\t", " ").split("\n") if part.strip()]
    shown = card_pages.read(markdown_text.paragraphs("\n\n".join(parts), "card.contact"))
    assert shown.texts("p") == [printable.escape_line(part) for part in parts] or not parts
    assert set(shown.tags) <= {"p"} if parts else shown.tags == ["p", "code"]


def test_escapes_are_as_few_as_needed() -> None:
    assert markdown_text.escape("Version 0.1 of (a), at 10-12 #3: a@b.org") == (
        "Version 0.1 of (a), at 10-12 #3: a@b.org"
    )
    assert markdown_text.escape("a_b*c [d] <e> | f") == r"a\_b\*c \[d\] &lt;e&gt; &#124; f"


def test_a_text_that_is_not_stated_names_its_setting() -> None:
    for text in (None, "", " \n "):
        assert markdown_text.paragraphs(text, "card.contact") == "not stated (`card.contact`)"
        assert markdown_text.stated(text, "card.contact") == "not stated (`card.contact`)"


def test_paragraphs_and_lines() -> None:
    text = "one\nstill one\n \n2. two"
    assert markdown_text.paragraphs(text, "s") == "one still one\n\n2\\. two"
    assert markdown_text.stated(text, "s") == "one still one 2. two"


def test_settings_as_a_block() -> None:
    assert markdown_text.yaml_block({"seed": 3, "paths": {"images": "é"}}) == (
        "```yaml\nseed: 3\npaths:\n  images: é\n```"
    )
    assert markdown_text.yaml_block({}) == "```yaml\n# all settings have their defaults\n```"


def test_code_of_names_that_it_cannot_hold() -> None:
    assert markdown_text.code("/data/a b.png") == "`/data/a b.png`"
    assert markdown_text.code("a`b|c") == r"a\`b&#124;c"


@pytest.mark.parametrize(
    ("licence", "metadata"),
    [
        (None, {}),
        ("cc-by-4.0", {"license": "cc-by-4.0"}),
        ("apache-2.0", {"license": "apache-2.0"}),
        ("Ours: ask\nfirst", {"license": "other", "license_name": "Ours: ask first"}),
    ],
)
def test_licence_metadata(licence: Optional[str], metadata: dict[str, str]) -> None:
    assert markdown_text.licence_metadata(licence) == metadata


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_front_matter_is_yaml_between_two_lines(values: dict[str, str]) -> None:
    values = {key: text.replace("`", "") for key, text in values.items() if "`" not in key}
    text = markdown_text.front_matter(values)
    assert text.startswith("---\n")
    assert text.endswith("\n---")
    assert yaml.safe_load(text[4:-3]) == values
