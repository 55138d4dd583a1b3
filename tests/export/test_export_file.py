"""Which export.json lets an export go on, and which refuses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from halftone.errors import InputError
from halftone.export.export_file import read_previous_export

ONNX = {"schema": 1, "format": "onnx", "model_version": "v1"}
TFRECORD = {"schema": 1, "format": "tfrecord", "fingerprint": "f1", "compression": ""}


def write(folder: Path, info: dict[str, Any]) -> dict[str, Any]:
    (folder / "export.json").write_text(json.dumps(info))
    return info


def refusal(folder: Path, settings: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        read_previous_export(str(folder), settings, [])
    return str(caught.value).removeprefix(f"{folder}: ")


def test_the_same_export_is_returned_with_all_its_keys(tmp_path: Path) -> None:
    info = write(tmp_path, {**ONNX, "size_bytes": 7})
    assert read_previous_export(str(tmp_path), ONNX, []) == info


def test_an_older_halftone_wrote_no_format_with_tfrecord(tmp_path: Path) -> None:
    info = write(tmp_path, {key: TFRECORD[key] for key in ("schema", "fingerprint", "compression")})
    assert read_previous_export(str(tmp_path), TFRECORD, []) == info


def test_another_model_is_refused(tmp_path: Path) -> None:
    write(tmp_path, ONNX)
    assert refusal(tmp_path, {**ONNX, "model_version": "v2"}) == (
        "contains another export, which is not overwritten: model_version 'v1' there, 'v2' now. "
        "Give another --output, or remove it"
    )


def test_of_another_format_only_the_format_is_named(tmp_path: Path) -> None:
    write(tmp_path, ONNX)
    assert refusal(tmp_path, TFRECORD) == (
        "contains another export, which is not overwritten: format 'onnx' there, 'tfrecord' now. "
        "Give another --output, or remove it"
    )


def test_parts_of_a_killed_export_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    (tmp_path / "_lock").mkdir()
    assert read_previous_export(str(tmp_path), ONNX, ["model.onnx"]) == {}
    assert refusal(tmp_path, ONNX) == (
        "exists and is not an export (it contains model.onnx); give another --output"
    )
    assert read_previous_export(str(tmp_path / "none"), ONNX, []) == {}
