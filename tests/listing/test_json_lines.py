from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.errors import InputError
from halftone.listing import LISTED, text_lines
from listed import list_images

ROOT = "/data/images"


def write(folder: Path, text: str | bytes, name: str = "list.jsonl") -> str:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return str(folder / name)


def rows(url: str, root: str = ROOT) -> list[tuple[object, ...]]:
    """The path, label and split of each image."""
    return list_images(root, url).values("path", "label", "split")


@pytest.mark.parametrize("name", ["list.jsonl", "list.ndjson", "list.json", "LIST.JSONL", "list"])
def test_keys_are_the_columns(tmp_path: Path, name: str) -> None:
    text = (
        '{"path": "001.jpg", "label": "cat", "group": "a", "split": "train", "size_bytes": 5,'
        ' "modified": 9.5}\n{"path": "s/002.jpg"}\n'
    )
    listed = list_images(ROOT, write(tmp_path, text, name))
    assert listed.values(*LISTED.names) == [
        ("001.jpg", "cat", "a", "train", 5, 9.5, "", "", ""),
        ("s/002.jpg", "", "", "", -1, 0.0, "", "", ""),
    ]
    assert listed.summary == (2, 0, {}, ("label", "group", "split"), (), ())


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ('"7"', "7"),
        ("7", "7"),
        ("7.0", "7"),
        ("-1", "-1"),
        ("1.5", "1.5"),
        ('"007"', "007"),
        ('"NA"', "NA"),
        ("true", "true"),
        ("null", ""),
        ('""', ""),
        ('" cat "', " cat "),
        (r'"Stra\u00dfe \ud83d\udc08"', "Straße 🐈"),
    ],
)
def test_labels_are_texts_numbers_or_missing(tmp_path: Path, value: str, label: str) -> None:
    assert rows(write(tmp_path, f'{{"path": "1.jpg", "label": {value}}}\n')) == [
        ("1.jpg", label, "")
    ]


def test_marks_blank_lines_carriage_returns_and_the_spelling_of_keys(tmp_path: Path) -> None:
    text = (
        '\ufeff\ufeff\r\n{"Path": "1.jpg", " LABEL ": "a"}\r\n  \r\n'
        '{"path":"2.jpg","label":"b"}\r\n'
        '{"PATH":"3.jpg","\\u00a0label":"c"}'
    )
    assert rows(write(tmp_path, text)) == [
        ("1.jpg", "a", ""),
        ("2.jpg", "b", ""),
        ("3.jpg", "c", ""),
    ]


def test_other_keys_and_a_missing_label_are_told(tmp_path: Path) -> None:
    url = write(tmp_path, '{"path": "1.jpg", "boxes": [1, {"x": 2}]}\n{"path": "2.jpg", "Tag": 1}')
    summary = list_images(ROOT, url).summary
    assert summary.unknown_columns == ("boxes", "Tag")
    assert summary.used_columns == ()
    assert summary.notes[1] == (
        f"{url}: has no column label; the labels come from the paths, by preprocess.label_from"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no images"),
        ('{"path": "1.jpg"}\n\n{"path": "2.jpg",}\n', "line 3 is not JSON: Illegal trailing comma "
         "before end of object (column 17); write one JSON object a line"),
        ('{"path": "1.jpg"\n"label": "a"}\n', "line 1 is not JSON: Expecting ',' delimiter (column "
         "17); write one JSON object a line"),
        ('{"path": "1.jpg"}\n["2.jpg"]\n', 'line 2 is ["2.jpg"]; write one JSON object a line'),
        ('{"path": "1.jpg"}\n{"path": ""}\n', "line 2 has no path"),
        ('{"path": "1.jpg"}\n{"label": "a"}\n', "line 2 has no path"),
        ('{"path": "1.jpg"}\n{"path": 17}\n', "line 2 has 'path': 17; a path must be text"),
        ('{"path": "1.jpg", "label": ["a"]}\n', "line 1 has 'label': [\"a\"]; it must be a text or "
         "a number"),
        ('{"path": "1.jpg", "label": NaN}\n', "line 1 has 'label': nan; it must be a text or a "
         "number"),
        ('{"path": "1.jpg", "size_bytes": "big"}\n', "line 1 has 'size_bytes': \"big\"; it must be "
         "a number"),
        ('{"path": "1.jpg", "label": "a", "label": "b"}\n', "line 1 has the key 'label' twice; "
         "remove one"),
        ('{"path": "1.jpg", "label": "a"}\n{"path": "2.jpg", "label": "a", "Label": "b"}\n',
         "2 columns have the name label"),
        ('{"path": "1.jpg", "label": "\\ud800"}\n', "line 1 has label '\\ud800', which is no text: "
         "it has half a character"),
        ('{"path": "1.jpg"}\n{"path": "é.jpg"}\n'.encode("latin-1"), "line 2 is not UTF-8 text "
         "(byte 0xe9); save the file in UTF-8"),
        ('{"path": "1.jpg"}\n'.encode("utf-16"), "is UTF-16 text; save it in UTF-8"),
        (b"\x1f\x8b\x08\0", "is packed with gzip; unpack it"),
        (b"PAR1", "is a Parquet file; its name must end in .parquet"),
        ('{"file": "1.jpg"}\n', "has no column path; it has 'file', and may have path, label, "
         "group, split, size_bytes, modified"),
        ('{"path": "1.jpg"}\n{"path": "1.jpg"}\n', "names 1 paths more than once, such as 1.jpg"),
        ('{"path": "/elsewhere/1.jpg"}\n', "1 paths are not below /data/images, such as "
         "/elsewhere/1.jpg; check paths.images or --input, or write paths relative to that folder"),
    ],
)  # fmt: skip
def test_an_unusable_file_is_an_error(tmp_path: Path, text: str | bytes, message: str) -> None:
    url = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url)
    found = str(caught.value)
    if "Illegal trailing comma" in message and "Illegal" not in found:  # Python before 3.13
        message = message.replace(
            "Illegal trailing comma before end of object (column 17)",
            "Expecting property name enclosed in double quotes (column 18)",
        )
    if message.startswith("2 columns"):
        assert found == f"{url}: line 2 has label twice (spaces and case do not matter in keys)"
    else:
        assert found == f"{url}: {message}"


def test_a_column_that_the_first_lines_do_not_have_is_an_error(
    tmp_path: Path,
) -> None:
    lines = [json.dumps({"path": f"{number}.jpg"}) for number in range(1000)]
    url = write(tmp_path, "\n".join([*lines, '{"path": "x.jpg", "Label": "cat"}']))
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url)
    assert str(caught.value) == (
        f"{url}: line 1001 has the key 'Label', which none of the first 1,000 lines has; write a "
        "line with all keys first"
    )


def test_a_line_without_an_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_lines, "MAX_LINE_BYTES", 30)
    url = write(tmp_path, '{"path": "1.jpg"}\n{"path": "a-much-longer-name.jpg"}\n')
    with pytest.raises(InputError) as caught:
        list_images(ROOT, url)
    assert str(caught.value) == (f"{url}: line 2 has more than 30 bytes; write one image a line")


@settings(max_examples=30, deadline=None)
@given(
    names=st.lists(st.text("aé🐈 ", min_size=1, max_size=8), min_size=1, max_size=12),
    part_bytes=st.integers(8, 60),
    ending=st.sampled_from(["\n", "\r\n", "\n\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_each_line_is_in_one_part(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    part_bytes: int,
    ending: str,
    mark: str,
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    lines = [
        json.dumps({"path": f"{number}{name}.jpg", "label": "x"}, ensure_ascii=False)
        for number, name in enumerate(names)
    ]
    url = write(folder, mark + ending.join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_lines, "_PART_BYTES", part_bytes)
        listed = list_images(ROOT, url)
    assert listed.paths == [f"{number}{name}.jpg" for number, name in enumerate(names)]
    assert listed.num_units == -(-Path(url).stat().st_size // part_bytes)


def test_an_error_in_a_later_part_has_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps({"path": f"{number:04d}.jpg"}) for number in range(1500)]
    url = write(tmp_path, "\n".join([*lines, '{"path": 5}', ""]))
    monkeypatch.setattr(text_lines, "_PART_BYTES", 1000)
    monkeypatch.setattr(text_lines, "_PIECE_BYTES", 777)
    with pytest.raises(InputError, match=r"list\.jsonl: line 1501 has 'path': 5; a path must be"):
        list_images(ROOT, url)
