"""Draw a small synthetic sample of photo-like and comic-like faces, for trying the pipeline.

    python -m halftone.sample --output DIR --pairs 400 --seed 7      (about 15 s on 2 idle cores)

No picture shows a real person: all are drawn by code (see drawing/). The layout is that of the
Kaggle set "comic faces": `faces/00000.jpg` and `comics/00000.jpg` show the same made-up person.
The sample includes four broken files, which preprocessing must reject.

`sample.json` is written last: a directory that holds it is complete. A killed run leaves no
`sample.json`, and the next run draws the missing pictures. Each JPEG carries its parameters in a
comment, so a file of another seed, or one of yours, is neither mistaken for a finished picture nor
overwritten.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional, Union

from halftone import logs
from halftone.errors import InputError, describe_os_error
from halftone.progress import report_progress
from halftone.sample import drawing
from halftone.sample.drawing.damage import BROKEN_FILES, make_broken_files
from halftone.sample.drawing.label import DRAWING_VERSION, add_label, find_label, make_label
from halftone.sample.drawing.workers import count_cores, worker_map
from halftone.sample.flags import add_flags
from halftone.sample.sample_info import DESCRIPTION_FILE

MAX_PAIRS = 100_000  # five digits in a file's name
SYNTHETIC_NOTICE = "synthetic: every picture was drawn by code, none shows a real person"

_REMEDY = "choose another output, or delete that directory"
_DrawTask = tuple[str, str, int, int, int]  # output, kind, pair, seed, size_px


def draw_picture(seed: int, pair: int, kind: str, size_px: int) -> bytes:
    """Return one JPEG, a pure function of the arguments, which its comment holds too."""
    jpeg = drawing.draw_jpeg(seed, pair, kind, size_px)
    return add_label(jpeg, make_label(seed, pair, kind, size_px))


def generate_sample(
    output: Union[str, Path],
    pairs: int,
    seed: int,
    size_px: int = 1024,
    processes: Optional[int] = None,
) -> Path:
    """Draw `pairs` pairs of (size_px, size_px) JPEGs and four broken files; return `output`.

    Safe to call again: finished pictures stay as they are.

    Args:
        processes: default: the number of cores that this process may use. More than one process
            are spawned, so the calling script needs an `if __name__ == "__main__":` guard.

    Raises:
        InputError: an argument is invalid, or `output` holds something else.
    """
    if "://" in str(output):
        raise InputError(f"output is {output}; the sample is drawn into a local directory")
    output = Path(output)
    processes = count_cores() if processes is None else processes
    _check_arguments(output, pairs, seed, size_px, processes)
    parameters = {"pairs": pairs, "seed": seed, "size_px": size_px, "drawing": DRAWING_VERSION}
    if _is_complete_sample(output, parameters):
        _print(f"{output} is already drawn with these parameters: nothing to do")
        return output
    _check_no_other_files(output, pairs)
    missing = _list_missing_pictures(output, pairs, seed, size_px)
    with _temporary_directory(output):
        _draw_tasks(missing, 2 * pairs, processes)
        _write_broken_files(output, pairs, seed, size_px)
        _write_file(output, DESCRIPTION_FILE, _encode_description(parameters))
    return output


def _picture_path(kind: str, pair: int) -> str:
    return f"{kind}/{pair:05d}.jpg"


def _print(message: str) -> None:
    print(message, flush=True)


# --- files of an earlier run ----------------------------------------------------------------------


def _check_arguments(output: Path, pairs: int, seed: int, size_px: int, processes: int) -> None:
    if not 1 <= pairs <= MAX_PAIRS:
        raise InputError(f"pairs is {pairs}; it must be from 1 to {MAX_PAIRS}")
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be 0 or more")
    if not 64 <= size_px <= 4096:
        raise InputError(f"size_px is {size_px}; it must be from 64 to 4096")
    if processes < 1:
        raise InputError(f"processes is {processes}; it must be 1 or more")
    for folder in (output, *(output / kind for kind in drawing.PICTURE_KINDS)):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; the sample needs a directory there")


def _is_complete_sample(output: Path, parameters: dict[str, int]) -> bool:
    """Whether `output` holds the finished sample.

    Raises:
        InputError: `output` holds a different sample.
    """
    path = output / DESCRIPTION_FILE
    if not path.exists():
        return False
    try:
        existing = json.loads(path.read_text(encoding="utf-8"))["parameters"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is not the description of a sample; {_REMEDY}") from None
    if existing != parameters:
        raise InputError(
            f"{output} holds a sample of {_format_parameters(existing)}, "
            f"not of {_format_parameters(parameters)}; {_REMEDY}"
        )
    return True


def _format_parameters(parameters: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def _check_no_other_files(output: Path, pairs: int) -> None:
    """Raise InputError for files that are not part of this sample: a training would use them."""
    planned = {
        *BROKEN_FILES,
        *(_picture_path(kind, pair) for kind in drawing.PICTURE_KINDS for pair in range(pairs)),
    }
    for kind in drawing.PICTURE_KINDS:
        names = sorted(path.name for path in (output / kind).glob("*"))
        unexpected = [name for name in names if f"{kind}/{name}" not in planned]
        if unexpected:
            raise InputError(
                f"{output / kind} holds {len(unexpected)} files that are not of a sample of "
                f"{pairs} pairs, such as {unexpected[0]}; {_REMEDY}"
            )


def _list_missing_pictures(output: Path, pairs: int, seed: int, size_px: int) -> list[_DrawTask]:
    """List the pictures still to draw.

    Raises:
        InputError: another file has the name of a picture.
    """
    return [
        (str(output), kind, pair, seed, size_px)
        for pair in range(pairs)  # both kinds of a pair together: a killed run leaves whole pairs
        for kind in drawing.PICTURE_KINDS
        if not _is_complete_picture(
            output / _picture_path(kind, pair), make_label(seed, pair, kind, size_px)
        )
    ]


def _is_complete_picture(path: Path, label: str) -> bool:
    """Whether `path` is the complete picture of this label.

    Raises:
        InputError: `path` is another file.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    if not data:  # a power cut can leave a renamed file empty
        return False
    existing = find_label(data)
    if existing != label:
        content = "not a picture of a sample" if existing is None else repr(existing)
        raise InputError(f"{path} is {content}, but {label!r} is to be written there; {_REMEDY}")
    return data.endswith(b"\xff\xd9")


# --- writing --------------------------------------------------------------------------------------


@contextmanager
def _temporary_directory(output: Path) -> Iterator[None]:
    """Create the directory in which files are written before they are renamed into place."""
    for kind in drawing.PICTURE_KINDS:
        (output / kind).mkdir(parents=True, exist_ok=True)
    temporary = output / ".unfinished"
    temporary.mkdir(exist_ok=True)
    yield
    shutil.rmtree(temporary, ignore_errors=True)


def _write_file(output: Path, name: str, data: bytes) -> None:
    temporary = output / ".unfinished" / name.replace("/", "-")
    temporary.write_bytes(data)
    os.replace(temporary, output / name)


def _draw_task(task: _DrawTask) -> None:
    output, kind, pair, seed, size_px = task
    _write_file(Path(output), _picture_path(kind, pair), draw_picture(seed, pair, kind, size_px))


def _draw_tasks(tasks: list[_DrawTask], total: int, processes: int) -> None:
    if len(tasks) < total:
        _print(f"{total - len(tasks)} of {total} pictures exist from an earlier run")
    num_drawn = 0
    progress = report_progress(lambda: num_drawn, "draw", len(tasks), "pictures")
    with worker_map(processes, len(tasks)) as map_tasks, progress:
        for _ in map_tasks(_draw_task, tasks):
            num_drawn += 1


def _write_broken_files(output: Path, pairs: int, seed: int, size_px: int) -> None:
    """Write the broken files, made from a pair that is not in the sample: no duplicates."""
    face, comic = (draw_picture(seed, pairs, kind, size_px) for kind in ("faces", "comics"))
    for name, data in make_broken_files(face, comic, seed).items():
        _write_file(output, name, data)


def _encode_description(parameters: dict[str, int]) -> bytes:
    description = {
        "what": SYNTHETIC_NOTICE,
        "parameters": parameters,
        "pictures": dict.fromkeys(drawing.PICTURE_KINDS, parameters["pairs"]),
        "broken": BROKEN_FILES,
    }
    return (json.dumps(description, indent=2) + "\n").encode("utf-8")


# --- the command ----------------------------------------------------------------------------------


def main(arguments: Optional[list[str]] = None) -> int:
    """Run the command.

    Returns:
        The exit code: 0 drawn or already there, 1 disk error, 2 wrong arguments, 130 interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="python -m halftone.sample",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_flags(parser)
    args = parser.parse_args(arguments)
    try:
        draw(args)
    except InputError as error:
        logs.report_end(f"error: {error}")
        return 2
    except OSError as error:
        logs.report_end(f"error: {describe_os_error(error)}")
        return 1
    except KeyboardInterrupt:
        logs.report_end("stopped; run the same command again to go on", logging.WARNING)
        return 130
    return 0


def draw(args: argparse.Namespace) -> None:
    """Draw the sample that the flags describe, and print what it is.

    Raises:
        InputError: as `generate_sample`.
    """
    generate_sample(args.output, args.pairs, args.seed, args.size_px, args.processes)
    _print(
        f"{args.output}: {args.pairs} faces, {args.pairs} comics ({SYNTHETIC_NOTICE}), and "
        f"{len(BROKEN_FILES)} files that are broken on purpose: preprocessing must reject them"
    )
