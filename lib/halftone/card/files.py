"""The files of a card: Markdown, and the same as HTML."""

from __future__ import annotations

from halftone import storage
from halftone.card import page

DATA_CARD, MODEL_CARD = "data_card", "model_card"
CARD_FILES = tuple(
    f"{name}{suffix}" for name in (MODEL_CARD, DATA_CARD) for suffix in (".md", ".html")
)


def has_card(folder: str, name: str, text: str) -> bool:
    """Return whether a folder has the card `name` with this text, and its page."""
    names = storage.list_names(folder)
    if f"{name}.md" not in names or f"{name}.html" not in names:
        return False
    return storage.read_bytes(storage.join(folder, f"{name}.md")) == text.encode()


def write_card(folder: str, name: str, text: str) -> None:
    """Write a card and its page, unless the folder has them.

    Args:
        name: DATA_CARD or MODEL_CARD.
        text: Markdown.
    """
    if not has_card(folder, name, text):
        # The Markdown is written last: it marks a page that belongs to it.
        storage.write_bytes(storage.join(folder, f"{name}.html"), page.render_page(text).encode())
        storage.write_bytes(storage.join(folder, f"{name}.md"), text.encode())
