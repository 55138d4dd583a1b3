"""A reader of cards: what a browser would show of a page, block by block."""

from __future__ import annotations

from html.parser import HTMLParser

from halftone.card import page

_BLOCKS = {"h1", "h2", "p", "li", "th", "td", "pre"}


class CardPage(HTMLParser):
    """The tags of the body, in order, and the text of each block."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.blocks: list[tuple[str, str]] = []
        self._open_block = ""
        self.feed(text.partition("<body>")[2])
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag in _BLOCKS:
            self.blocks.append((tag, ""))
            self._open_block = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open_block:
            self._open_block = ""

    def handle_data(self, data: str) -> None:
        if self._open_block:
            tag, text = self.blocks[-1]
            self.blocks[-1] = (tag, text + data)

    def texts(self, tag: str) -> list[str]:
        return [text for name, text in self.blocks if name == tag]


def read(markdown: str) -> CardPage:
    return CardPage(page.render_page(markdown))
