"""The synthetic sample: its pictures, its broken files, and simple features do not separate it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import halftone
from halftone.errors import InputError
from halftone.sample import drawing
from halftone.sample.drawing import damage, label, pen
from halftone.sample.generate import draw_picture, generate_sample, main
from halftone.sample.sample_info import read_sample_description

BROKEN = [
    "comics/broken-text.jpg",
    "comics/broken-truncated.jpg",
    "faces/broken-empty.jpg",
    "faces/broken-garbled.jpg",
]


def digests(output: Path) -> dict[str, str]:
    files = sorted(path for path in output.rglob("*") if path.is_file())
    return {
        path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def pixels(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_sample(tmp_path_factory.mktemp("sample") / "s", pairs=9, seed=7, size_px=64)


# --- pictures -------------------------------------------------------------------------------------


def test_the_layout_is_that_of_the_real_set_plus_four_broken_files(drawn: Path) -> None:
    good = [f"{kind}/{pair:05d}.jpg" for kind in ("comics", "faces") for pair in range(9)]
    assert list(digests(drawn)) == sorted([*good, *BROKEN, "sample.json"])
    assert sorted(path.name for path in drawn.iterdir()) == ["comics", "faces", "sample.json"]


def test_sample_json_describes_the_sample(drawn: Path) -> None:
    assert json.loads((drawn / "sample.json").read_text()) == {
        "what": "synthetic: every picture was drawn by code, none shows a real person",
        "parameters": {"pairs": 9, "seed": 7, "size_px": 64, "drawing": 1},
        "pictures": {"faces": 9, "comics": 9},
        "broken": {
            "comics/broken-text.jpg": "a text file named .jpg",
            "comics/broken-truncated.jpg": "a JPEG that ends in the middle of its picture data",
            "faces/broken-empty.jpg": "an empty file",
            "faces/broken-garbled.jpg": "a JPEG with random bytes amid its picture data",
        },
    }


def test_pictures_are_colour_jpegs_of_the_requested_size(drawn: Path) -> None:
    for kind in ("faces", "comics"):
        assert pixels((drawn / kind / "00008.jpg").read_bytes()).shape == (64, 64, 3)
    assert pixels(draw_picture(7, 0, "faces", 1024)).shape == (1024, 1024, 3)
    assert pixels(draw_picture(7, 0, "comics", 1024)).shape == (1024, 1024, 3)


def test_a_picture_has_its_parameters_in_a_comment() -> None:
    data = draw_picture(7, 3, "comics", 64)
    comment = b"halftone synthetic sample: kind=comics pair=3 seed=7 size_px=64 drawing=1"
    assert data[20:24] == b"\xff\xfe\x00" + bytes([len(comment) + 2])
    assert data[24 : 24 + len(comment)] == comment


def test_the_same_bytes_whatever_the_number_of_processes(drawn: Path, tmp_path: Path) -> None:
    alone = generate_sample(tmp_path / "alone", pairs=9, seed=7, size_px=64, processes=1)
    three = generate_sample(tmp_path / "three", pairs=9, seed=7, size_px=64, processes=3)
    assert digests(alone) == digests(three) == digests(drawn)


def test_a_picture_does_not_depend_on_the_number_of_pairs(drawn: Path) -> None:
    assert draw_picture(7, 8, "faces", 64) == (drawn / "faces" / "00008.jpg").read_bytes()


def test_all_files_differ(drawn: Path, tmp_path: Path) -> None:
    other = generate_sample(tmp_path / "other", pairs=9, seed=8, size_px=64, processes=1)
    all_digests = [*digests(drawn).values(), *digests(other).values()]
    # the empty file and the text are the same in every sample
    assert len(set(all_digests)) == len(all_digests) - 2


def test_both_pictures_of_a_pair_show_the_same_person(monkeypatch: pytest.MonkeyPatch) -> None:
    persons = []

    def draw_blank(person: drawing.Person, rng: object, size_px: int) -> np.ndarray:
        persons.append(person)
        return np.zeros((size_px, size_px, 3), np.uint8)

    monkeypatch.setattr(drawing, "draw_photo", draw_blank)
    monkeypatch.setattr(drawing, "draw_comic", draw_blank)
    drawing.draw_jpeg(7, 5, "faces", 64)
    drawing.draw_jpeg(7, 5, "comics", 64)
    assert persons == [drawing.create_person(7, 5)] * 2
    assert drawing.create_person(7, 5) != drawing.create_person(7, 6)
    assert drawing.create_person(7, 5) != drawing.create_person(8, 5)


# A change of these values is a new version of the sample: raise label.DRAWING_VERSION.


def test_the_person_of_a_seed_and_a_pair() -> None:
    person = drawing.create_person(7, 1)
    assert (person.hair_style, person.scene, person.scene_seed) == ("long", "rays", 198918798)
    assert (person.has_glasses, person.has_beard, person.has_striped_shirt) == (True, False, False)
    place = [*person.centre, person.half_head_width, person.tilt_rad, person.yaw_rad]
    assert place == pytest.approx(
        [0.5003456943, 0.5391391908, 0.2006381244, -0.1667449561, 0.0245938984]
    )
    assert (person.jaw, person.parting) == pytest.approx((0.2975321855, 0.4884321346))
    mood = [person.eye_open, person.brow, person.smile, person.mouth_open]
    assert mood == pytest.approx([0.6651965527, 0.3521927332, 0.1786562991, 0.1265687348])
    assert person.light == pytest.approx((-0.5411259680, -0.6370645546, 0.5489366448))
    assert person.skin == pytest.approx((70.8020923499, 99.7024846655, 154.0026154373))
    assert person.hair == pytest.approx((165.9509669021, 165.9225081091, 169.9225081091))
    # These go through OpenCV's HSV, which may round differently in another build.
    assert person.eye_colour == pytest.approx((55.0, 73.8, 96.9), abs=1)
    assert person.shirt == pytest.approx((44, 40, 44), abs=1)
    assert person.scene_colours[3] == pytest.approx((85, 81, 79), abs=1)
    exposure = [person.mean_grey, person.std_grey, person.chroma]
    assert exposure == pytest.approx([129.8784500197, 54.4739683730, 25.0202420326])


def test_the_pen_of_a_comic() -> None:
    chosen = pen.choose_pen(np.random.default_rng([7, 1, 2]))
    assert (chosen.num_tones, chosen.screen, chosen.edge_blur) == (3, "dots", 0.02)
    assert (chosen.cartoon, chosen.width) == pytest.approx((0.9499581001, 0.0077416062))
    assert list(chosen.ink) == pytest.approx([35.99155426, 31.99155426, 33.99155426])


@pytest.mark.parametrize(
    ("kind", "greys"),
    [
        (
            "faces",
            [[171, 161, 190, 182], [158, 157, 125, 130], [147, 86, 51, 157], [110, 54, 46, 145]],
        ),
        (
            "comics",
            [[123, 137, 178, 193], [135, 121, 117, 156], [122, 76, 70, 193], [139, 69, 68, 180]],
        ),
    ],
)
def test_a_picture_reduced_to_4_x_4_px(kind: str, greys: list[list[int]]) -> None:
    grey = cv2.cvtColor(pixels(draw_picture(7, 1, kind, 1024)), cv2.COLOR_BGR2GRAY)
    reduced = cv2.resize(grey, (4, 4), interpolation=cv2.INTER_AREA)
    # Another build of OpenCV may change the bytes, but not the picture.
    assert np.abs(reduced.astype(int) - greys).max() <= 2


def test_a_face_is_more_similar_to_its_own_comic_than_to_others() -> None:
    def flat(pair: int, kind: str) -> np.ndarray:
        grey = cv2.cvtColor(pixels(draw_picture(7, pair, kind, 64)), cv2.COLOR_BGR2GRAY)
        values = cv2.GaussianBlur(grey, (0, 0), 3).astype(float).ravel()
        return (values - values.mean()) / values.std()

    faces = np.array([flat(pair, "faces") for pair in range(20)])
    comics = np.array([flat(pair, "comics") for pair in range(20)])
    similarity = faces @ comics.T / faces.shape[1]
    same_person = np.diag(similarity).mean()
    others = (similarity.sum() - np.trace(similarity)) / (20 * 19)
    assert same_person > others + 0.3


# --- simple features do not separate the kinds ----------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_mean_contrast_and_file_size_do_not_separate_the_kinds(tmp_path: Path) -> None:
    pairs = 150
    output = generate_sample(tmp_path / "s", pairs=pairs, seed=7)
    full, small, kinds = [], [], []
    for kind in ("faces", "comics"):
        for path in sorted((output / kind).glob("0*.jpg")):
            grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            grey_64 = cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA)
            size_bytes = path.stat().st_size
            full.append((grey.mean(), grey.std(), size_bytes))
            small.append((grey_64.mean(), grey_64.std(), size_bytes))
            kinds.append(kind)
    persons = list(range(pairs)) * 2
    assert classifier_accuracy(full, kinds, persons) <= 0.75
    assert classifier_accuracy(small, kinds, persons) <= 0.75


def classifier_accuracy(features: list, kinds: list[str], persons: list[int]) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    scores = cross_val_score(classifier, features, kinds, groups=persons, cv=GroupKFold(5))
    return float(scores.mean())


# --- broken files ---------------------------------------------------------------------------------


def test_the_empty_file_is_empty(drawn: Path) -> None:
    assert (drawn / "faces/broken-empty.jpg").read_bytes() == b""


def test_the_text_file_is_text(drawn: Path) -> None:
    data = (drawn / "comics/broken-text.jpg").read_bytes()
    assert data == b"This is text, whatever its name says.\n"


def test_the_truncated_jpeg_is_the_first_part_of_a_whole_one(drawn: Path) -> None:
    data = (drawn / "comics/broken-truncated.jpg").read_bytes()
    whole = draw_picture(7, 9, "comics", 64)
    assert whole.startswith(data)
    assert data.index(b"\xff\xda") < len(data) < len(whole)
    assert b"\xff\xd9" not in data


def test_the_garbled_jpeg_is_an_intact_one_with_its_middle_overwritten(drawn: Path) -> None:
    data = (drawn / "faces/broken-garbled.jpg").read_bytes()
    whole = draw_picture(7, 9, "faces", 64)
    assert len(data) == len(whole)
    wrong = [at for at in range(len(data)) if data[at] != whole[at]]
    assert whole.index(b"\xff\xda") + 100 < wrong[0] < wrong[-1] < len(whole) - 100


def test_the_garbled_jpeg_looks_different_from_its_middle_on() -> None:
    whole = draw_picture(7, 0, "faces", 256)
    difference = cv2.absdiff(pixels(damage.garble_jpeg(whole, 7)), pixels(whole)).max(axis=2)
    assert difference[:64].max() == 0
    assert (difference[192:] > 20).mean() > 0.5


@pytest.mark.parametrize("seed", range(8))
def test_a_strict_decoder_rejects_both_damaged_jpegs(seed: int) -> None:
    simplejpeg = pytest.importorskip("simplejpeg")
    face = draw_picture(seed, 0, "faces", 128)
    simplejpeg.decode_jpeg(face, strict=True)
    with pytest.raises(ValueError, match="Premature end of JPEG file"):
        simplejpeg.decode_jpeg(damage.truncate_jpeg(face), strict=True)
    with pytest.raises(ValueError, match="Corrupt JPEG data: "):
        simplejpeg.decode_jpeg(damage.garble_jpeg(face, seed), strict=True)


# --- repeated and killed runs ---------------------------------------------------------------------


def run(output: Path, *more: str) -> int:
    return main(["--output", str(output), "--size-px", "64", "--processes", "1", *more])


def test_read_sample_description(tmp_path: Path) -> None:
    assert read_sample_description(str(tmp_path / "none")) == ""
    folder = str(generate_sample(tmp_path / "drawn", 1, seed=7, size_px=64, processes=1))
    assert read_sample_description(folder) == (
        "synthetic: every picture was drawn by code, none shows a real person"
    )
    for text in ("{", "[1]", '{"pairs": 3}'):
        (tmp_path / "sample.json").write_text(text)
        assert read_sample_description(str(tmp_path)) == ""


def test_the_command_prints_the_folder_and_that_it_is_synthetic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "s", "--pairs", "2") == 0
    assert capsys.readouterr().out == (
        f"{tmp_path}/s: 2 faces, 2 comics "
        "(synthetic: every picture was drawn by code, none shows a real person), "
        "and 4 files that are broken on purpose: preprocessing must reject them\n"
    )


def test_a_second_run_skips_and_prints_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "s", "--pairs", "2")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")}
    capsys.readouterr()
    assert run(tmp_path / "s", "--pairs", "2") == 0
    first_line = capsys.readouterr().out.splitlines()[0]
    assert first_line == f"{tmp_path}/s is already drawn with these parameters: nothing to do"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")} == before


def test_other_parameters_are_an_error_with_both_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "s", "--pairs", "2")
    before = digests(tmp_path / "s")
    capsys.readouterr()
    assert run(tmp_path / "s", "--pairs", "3", "--seed", "8") == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/s holds a sample of pairs 2, seed 7, size_px 64, drawing 1, "
        "not of pairs 3, seed 8, size_px 64, drawing 1; "
        "choose another output, or delete that directory\n"
    )
    assert digests(tmp_path / "s") == before


def test_pictures_of_a_stopped_run_are_kept_and_the_rest_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "s"
    run(output, "--pairs", "4")
    whole = digests(output)
    capsys.readouterr()
    (output / "sample.json").unlink()
    (output / "faces/broken-garbled.jpg").unlink()
    for pair in (1, 3):
        (output / f"faces/{pair:05d}.jpg").unlink()
        (output / f"comics/{pair:05d}.jpg").unlink()
    truncated = output / "comics/00002.jpg"
    truncated.write_bytes(truncated.read_bytes()[:-10])
    kept = output / "faces/00002.jpg"
    kept_mtime_ns = kept.stat().st_mtime_ns
    assert run(output, "--pairs", "4") == 0
    assert "3 of 8 pictures exist from an earlier run" in capsys.readouterr().out
    assert kept.stat().st_mtime_ns == kept_mtime_ns
    assert digests(output) == whole


def test_the_next_run_completes_a_killed_one(tmp_path: Path) -> None:
    output = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "halftone.sample",
        "--output",
        str(output),
        "--pairs",
        "60",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(halftone.__file__).parents[1])}
    process = subprocess.Popen(
        [*command, "--size-px", "256", "--processes", "2"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(list(output.glob("*/0*.jpg"))) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (output / "sample.json").exists()
    time.sleep(0.5)  # the workers exit when their parent is gone
    assert 8 <= len(list(output.glob("*/0*.jpg"))) < 120
    generate_sample(output, pairs=60, seed=7, size_px=256, processes=2)
    fresh = generate_sample(tmp_path / "fresh", pairs=60, seed=7, size_px=256, processes=2)
    assert digests(output) == digests(fresh)
    assert not (output / ".unfinished").exists()


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pairs", "0"], "pairs is 0; it must be from 1 to 100000"),
        (["--pairs", "100001"], "pairs is 100001; it must be from 1 to 100000"),
        (["--seed", "-1"], "seed is -1; it must be 0 or more"),
        (["--size-px", "63"], "size_px is 63; it must be from 64 to 4096"),
        (["--size-px", "4097"], "size_px is 4097; it must be from 64 to 4096"),
        (["--processes", "0"], "processes is 0; it must be 1 or more"),
    ],
)
def test_bad_arguments_end_with_code_2_and_write_nothing(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "s", *arguments) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not (tmp_path / "s").exists()


def test_arguments_that_are_not_numbers_end_with_code_2(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path / "s", "--pairs", "many")
    assert ended.value.code == 2


def test_a_url_or_a_file_is_not_a_valid_output(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        generate_sample("s3://bucket/sample", pairs=1, seed=7)
    assert str(raised.value) == (
        "output is s3://bucket/sample; the sample is drawn into a local directory"
    )
    (tmp_path / "faces").write_text("")
    with pytest.raises(InputError) as raised:
        generate_sample(tmp_path, pairs=1, seed=7)
    assert str(raised.value) == f"{tmp_path}/faces is a file; the sample needs a directory there"


def test_a_picture_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "comics/00000.jpg"
    path.parent.mkdir()
    path.write_bytes(drawing.draw_jpeg(7, 0, "comics", 64))  # a good JPEG, without the comment
    before = path.read_bytes()
    with pytest.raises(InputError) as raised:
        generate_sample(tmp_path, pairs=1, seed=7, size_px=64)
    assert str(raised.value) == (
        f"{path} is not a picture of a sample, but 'halftone synthetic sample: kind=comics pair=0 "
        "seed=7 size_px=64 drawing=1' is to be written there; choose another output, or delete "
        "that directory"
    )
    assert path.read_bytes() == before


def test_text_that_begins_like_a_label_is_not_a_label() -> None:
    assert label.find_label(b"halftone synthetic sample: kind=faces") is None
    assert label.find_label(b"") is None


def test_an_unfinished_sample_of_another_seed_is_not_mixed_in(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces/00000.jpg").write_bytes(draw_picture(8, 0, "faces", 64))
    with pytest.raises(InputError) as raised:
        generate_sample(tmp_path, pairs=1, seed=7, size_px=64)
    assert str(raised.value) == (
        f"{tmp_path}/faces/00000.jpg is 'halftone synthetic sample: kind=faces pair=0 seed=8 "
        "size_px=64 drawing=1', but 'halftone synthetic sample: kind=faces pair=0 seed=7 "
        "size_px=64 drawing=1' is to be written there; choose another output, or delete that "
        "directory"
    )


def test_files_beyond_the_number_of_pairs_are_an_error(drawn: Path, tmp_path: Path) -> None:
    generate_sample(tmp_path, pairs=3, seed=7, size_px=64)
    (tmp_path / "sample.json").unlink()
    with pytest.raises(InputError) as raised:
        generate_sample(tmp_path, pairs=1, seed=7, size_px=64)
    assert str(raised.value) == (
        f"{tmp_path}/faces holds 2 files that are not of a sample of 1 pairs, such as 00001.jpg; "
        "choose another output, or delete that directory"
    )
