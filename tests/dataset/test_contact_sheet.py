"""Contact sheets: the positions and sizes of pictures, and titles of any length and letters."""

from __future__ import annotations

import io
import re
import warnings

import numpy as np
import pytest
from PIL import Image, ImageFont

from halftone.dataset import contact_sheet

MARGIN_PX, GAP_PX, TITLE_PX = 16, 6, 30
BACKGROUND = [244, 244, 241]


def draw(
    groups: list[contact_sheet.PictureGroup], columns: int = 12, cell_px: int = 96
) -> np.ndarray:
    """(H, W, 3) uint8 of the sheet."""
    image = Image.open(io.BytesIO(contact_sheet.draw_contact_sheet(groups, columns, cell_px)))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return np.array(image)


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def enlarged(pixels: np.ndarray, factor: int) -> np.ndarray:
    return np.repeat(np.repeat(pixels, factor, axis=0), factor, axis=1)


def drawn_columns(strip: np.ndarray) -> np.ndarray:
    """Columns of a strip that are not all background."""
    return np.flatnonzero((strip != BACKGROUND).any(axis=(0, 2)))


# --- positions ------------------------------------------------------------------------------------


def test_pictures_are_in_rows_under_their_titles() -> None:
    cats, dogs = [noise(32, 32, 3, seed) for seed in range(5)], [noise(32, 32, 3, 9)]
    sheet = draw([("cat", cats), ("dog", dogs)], columns=3)
    assert sheet.shape == (16 + 30 + 96 + 6 + 96 + 16 + 30 + 96 + 16, 16 + 3 * 96 + 2 * 6 + 16, 3)
    positions = [(46, 16), (46, 118), (46, 220), (148, 16), (148, 118), (290, 16)]
    for (top, left), pixels in zip(positions, [*cats, *dogs]):
        assert (sheet[top : top + 96, left : left + 96] == enlarged(pixels, 3)).all()
    # The sixth cell of the cats is empty, except for the frame of its neighbour.
    assert (sheet[148:244, 216:] == BACKGROUND).all()
    assert len(drawn_columns(sheet[16:45])) > 0
    assert len(drawn_columns(sheet[260:289])) > 0


def test_small_pictures_are_enlarged_and_keep_their_aspect_ratio() -> None:
    wide, small, exact = noise(10, 20, 1), noise(33, 20), noise(96, 96)
    sheet = draw([("odd", [wide, small, exact])], columns=3)
    # 20 px fit 4 times into 96, so 80 x 40 px are drawn in the middle of the cell.
    wide = np.repeat(wide, 3, axis=2)
    assert (sheet[46 + 28 : 46 + 68, 16 + 8 : 16 + 88] == enlarged(wide, 4)).all()
    assert (sheet[46 + 15 : 46 + 81, 118 + 28 : 118 + 68] == enlarged(small, 2)[:, :40]).all()
    assert (sheet[46 : 46 + 96, 220 : 220 + 96] == exact).all()
    assert (sheet[46 : 46 + 27, 16:100] == BACKGROUND).all()


@pytest.mark.parametrize(
    ("shape", "fitted"),
    [((300, 200, 3), (96, 64)), ((97, 97, 1), (96, 96)), ((2000, 3, 3), (96, 1))],
)
def test_a_large_picture_is_reduced_to_fit(
    shape: tuple[int, int, int], fitted: tuple[int, int]
) -> None:
    sheet = draw([("large", [np.full(shape, 70, np.uint8)])], columns=1)
    rows, columns = np.nonzero((sheet[TITLE_PX + MARGIN_PX :] == 70).all(axis=2))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == fitted
    assert len(rows) == fitted[0] * fitted[1]
    assert rows.min() == (96 - fitted[0]) // 2
    assert columns.min() == MARGIN_PX + (96 - fitted[1]) // 2


def test_cells_shrink_to_the_size_of_the_largest_picture() -> None:
    pixels = noise(64, 60)
    sheet = draw([("a", [pixels, pixels])], columns=2)
    assert sheet.shape == (16 + 30 + 64 + 16, 16 + 64 + 6 + 64 + 16, 3)
    assert (sheet[46:110, 18:78] == pixels).all()


def test_a_white_picture_has_a_frame() -> None:
    sheet = draw([("white", [np.full((96, 96, 1), 255, np.uint8)])], columns=2)
    assert (sheet[46:142, 16:112] == 255).all()
    frame = np.concatenate([sheet[45, 15:113], sheet[142, 15:113], sheet[45:143, 15]])
    assert (frame == [205, 205, 200]).all()


# --- groups ---------------------------------------------------------------------------------------


def test_an_empty_group_has_a_title_and_no_row() -> None:
    sheet = draw([("truncated", []), ("full", [noise(96, 96)])], columns=4)
    assert sheet.shape == (16 + 30 + 16 + 30 + 96 + 16, 16 + 4 * 96 + 3 * 6 + 16, 3)
    assert len(drawn_columns(sheet[16:46])) > 0
    assert (sheet[46 + 16 + 30 : 46 + 16 + 30 + 96, 16:112] == noise(96, 96)).all()


def test_a_sheet_without_groups_is_empty() -> None:
    sheet = draw([], columns=2)
    assert sheet.shape == (16, 16 + 96 + 6 + 96 + 16, 3)
    assert (sheet == BACKGROUND).all()


def test_the_count_is_part_of_the_title() -> None:
    titles = [draw([("a", [noise(9, 9)] * count)], columns=3)[16:46] for count in (1, 2, 3)]
    assert len({title.tobytes() for title in titles}) == 3
    # "1 image", "2 images"
    assert drawn_columns(titles[0])[-1] < drawn_columns(titles[1])[-1]


def test_the_same_groups_give_the_same_bytes() -> None:
    first, second = (
        contact_sheet.draw_contact_sheet([("a", [noise(200, 150), noise(9, 9, 1)]), ("b", [])])
        for _ in range(2)
    )
    assert first == second


# --- titles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [20, 200, 2_000_000])
def test_a_long_title_is_cut_before_the_count(length: int) -> None:
    sheet = draw([("m" * length, [])], columns=3)
    assert drawn_columns(sheet[16:46])[-1] < sheet.shape[1] - MARGIN_PX
    count = drawn_columns(draw([("", [])], columns=3)[16:46])
    # The end of the line is as wide as the count alone.
    width = count[-1] - count[0]
    last = drawn_columns(sheet[16:46])
    assert np.count_nonzero(last >= last[-1] - width) == len(count)


@pytest.mark.parametrize(
    ("title", "written"),
    [
        ("cats · 5,000 rows…", "cats · 5,000 rows…"),
        ("  two\n lines\t", "two lines"),
        ("éclair Łódź", "eclair \\u0141odz"),
        ("猫", "\\u732b"),
        ("😀", "\\U0001f600"),
        ("nul\x00 bell\x07", "nul\\x00 bell\\x07"),
        ("half of a pair \ud83d", "half of a pair \\ud83d"),
        ("שלום", "\\u05e9\\u05dc\\u05d5\\u05dd"),
        ("C:\\folder", "C:\\folder"),
        ("", ""),
    ],
)
def test_titles_are_drawn_in_characters_of_the_font(title: str, written: str) -> None:
    assert (draw([(title, [])]) == draw([(written, [])])).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        contact_sheet.draw_contact_sheet([(title, [])])


def test_the_font_has_all_characters_of_titles() -> None:
    font = ImageFont.load_default(18)
    missing = bytes(font.getmask("\uffff"))
    letters = [chr(code) for code in range(32, 127)] + sorted(contact_sheet._FONT_CHARS)
    assert [letter for letter in letters if bytes(font.getmask(letter)) == missing] == []


@pytest.mark.parametrize(("columns", "cell_px"), [(1, 1), (1, 20), (40, 1)])
def test_a_sheet_may_be_too_narrow_for_its_titles(columns: int, cell_px: int) -> None:
    sheet = draw([("a title", [noise(50, 50)])], columns, cell_px)
    assert sheet.shape[1] == 2 * MARGIN_PX + columns * (cell_px + GAP_PX) - GAP_PX


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixels", "description"),
    [
        (np.zeros((4, 4), np.uint8), "uint8 (4, 4)"),
        (np.zeros((4, 4, 4), np.uint8), "uint8 (4, 4, 4)"),
        (np.zeros((4, 0, 3), np.uint8), "uint8 (4, 0, 3)"),
        (np.zeros((4, 4, 3), np.float32), "float32 (4, 4, 3)"),
    ],
)
def test_an_array_that_is_no_picture_is_an_error(pixels: np.ndarray, description: str) -> None:
    message = (
        f"picture 1 of group 'cat' is {description}; a contact sheet needs uint8 (H, W, 1) or "
        "(H, W, 3)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        contact_sheet.draw_contact_sheet([("cat", [noise(4, 4), pixels])])


@pytest.mark.parametrize(("columns", "cell_px"), [(0, 96), (12, 0)])
def test_no_columns_or_no_cells_are_refused(columns: int, cell_px: int) -> None:
    message = f"columns is {columns} and cell_px is {cell_px}; both must be >= 1"
    with pytest.raises(ValueError, match=f"^{message}$"):
        contact_sheet.draw_contact_sheet([], columns, cell_px)
