"""The summary of an exported model that the job prints at its end."""

from __future__ import annotations

from typing import Any

from halftone import storage, summary
from halftone.export.export_model import ModelExport
from halftone.export.flags import INT8


def format_model_export(export: ModelExport, output: str) -> str:
    """Return size, parity, accuracy and latency; the last line is the location."""
    info = export.info
    rows = [[file["path"], f"{file['size_bytes']:,}"] for file in info["files"]]
    rows.append(["total", f"{info['size_bytes']:,}"])
    quantised = ", 8-bit integers" if info.get("quantise") == INT8 else ""
    lines = [
        summary.format_table(["file", "bytes"], rows),
        "",
        f"{info['format']}{quantised} of model {info['model_version']}, written {info['created']}",
        *_parity_lines(info["parity"]),
        *_latency_lines(info["latency"]),
    ]
    if not export.is_new:
        lines.append("nothing to do: the output has this export already")
    return "\n".join([*lines, f"export: {storage.normalise_url(output)}"])


def _parity_lines(parity: dict[str, Any]) -> list[str]:
    limit = f" (at most {parity['limit']:g} is allowed)" if "limit" in parity else ""
    lines = [
        f"difference from Keras on {parity['rows']:,} images of {parity['images']}: probabilities "
        f"by at most {parity['max_difference']:.2g}{limit}, {parity['mean_difference']:.2g} in the "
        f"mean; {parity['changed_predictions']:,} other predictions"
    ]
    if parity["accuracy"] is not None:
        lost = parity["keras_accuracy"] - parity["accuracy"]
        lines.append(
            f"accuracy on these images: {parity['accuracy']:.4f}, of Keras "
            f"{parity['keras_accuracy']:.4f}: {lost:.4f} lost"
        )
    return lines


def _latency_lines(latency: dict[str, Any]) -> list[str]:
    core = "one core" if latency["is_pinned"] else "one thread"
    return [
        f"latency on {core}: {batch['median_ms']:,.3g} ms for {batch['batch_size']} "
        f"image{'s' * (batch['batch_size'] > 1)} (median of {batch['runs']} runs)"
        for batch in latency["batches"]
    ]
