from __future__ import annotations

from pathlib import Path

from halftone.card.files import DATA_CARD, has_card, write_card


def test_a_card_is_written_once(tmp_path: Path) -> None:
    folder, text = str(tmp_path), "# Data card: é\n"
    assert not has_card(folder, DATA_CARD, text)
    write_card(folder, DATA_CARD, text)
    assert has_card(folder, DATA_CARD, text)
    assert (tmp_path / "data_card.md").read_bytes() == text.encode()
    page = tmp_path / "data_card.html"
    assert "<h1>Data card: é</h1>" in page.read_text()
    stamps = [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    write_card(folder, DATA_CARD, text)
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())] == stamps


def test_a_card_with_another_text_or_without_its_page_is_replaced(tmp_path: Path) -> None:
    folder = str(tmp_path)
    write_card(folder, DATA_CARD, "# old\n")
    assert not has_card(folder, DATA_CARD, "# new\n")
    write_card(folder, DATA_CARD, "# new\n")
    assert "<h1>new</h1>" in (tmp_path / "data_card.html").read_text()
    (tmp_path / "data_card.html").unlink()
    assert not has_card(folder, DATA_CARD, "# new\n")
    write_card(folder, DATA_CARD, "# new\n")
    assert has_card(folder, DATA_CARD, "# new\n")


def test_a_folder_that_does_not_exist_has_no_card(tmp_path: Path) -> None:
    assert not has_card(str(tmp_path / "new"), DATA_CARD, "")
