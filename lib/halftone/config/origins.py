"""Show the resolved config, and where each of its values comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

from halftone.config.base import ConfigError
from halftone.config.load import build_config
from halftone.config.overrides import Override, collect_overrides
from halftone.config.storage import is_credential
from halftone.config.yaml_text import find_lines, parse_yaml

_HIDDEN = "(not shown)"
_DEFAULT = "default"
_COMMENT_COLUMN = 44
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9./~_^($][^\s#:,\[\]{}\"'&*!|>%@`]*")


class _Origins(NamedTuple):
    """What is needed to tell where a value comes from."""

    path: str
    lines: Mapping[str, int]
    overrides: Sequence[Override]

    def of(self, key: str) -> str:
        for override in reversed(self.overrides):
            if key == override.key:
                return override.origin
            if key.startswith(
                f"{override.key}."
            ):  # a whole section, which replaced the earlier one
                rest = key[len(override.key) + 1 :]
                return override.origin if _has_key(override.value, rest) else _DEFAULT
        return f"{self.path}:{self.lines[key]}" if key in self.lines else _DEFAULT


def describe(
    path: str,
    overrides: Sequence[Union[str, Override]] = (),
    paths: Mapping[str, Optional[str]] = {},
) -> str:
    """Return all settings as YAML, each with a comment that says where it comes from.

    That is the file with its line, an environment variable, a flag, or the default. The text is a
    valid config, but for the values that are not shown: options of storage, webhooks, and what has
    the form of a credential.

    Args:
        path: the YAML file.
        overrides: as `load_config` takes them.
        paths: values of the section `paths`, by name; None does not override.

    Raises:
        ConfigError: as load_config.
    """
    given = collect_overrides(overrides, paths)
    config = build_config(path, given)
    origins = _Origins(path, find_lines(path), given)
    lines = _format_section(config.model_dump(mode="json"), "", origins)
    return "\n".join(
        f"{text:<{_COMMENT_COLUMN}}  # {origin}".rstrip(" #") for text, origin in lines
    )


def _format_section(
    values: Mapping[str, Any], prefix: str, origins: _Origins
) -> Iterator[tuple[str, str]]:
    """Yield the text of each line and where its value comes from; headings come from nowhere."""
    indent = "  " * prefix.count(".")
    for name, value in values.items():
        key = f"{prefix}{name}"
        label = f"{indent}{format_value(name)}:"
        if isinstance(value, dict) and value:
            yield label, ""
            yield from _format_section(value, f"{key}.", origins)
        else:
            text = _HIDDEN if _is_secret(key, value) else format_value(value)
            yield f"{label} {text}", origins.of(key)


def _is_secret(key: str, value: Any) -> bool:
    if key == "retrain.webhook":  # often a URL that is a secret; $NAME is none
        return value is not None and not value.startswith("$")
    if key.startswith("storage.options."):
        return True
    # Names that the user chose may be those of credentials; settings of Halftone are none.
    is_free = key.startswith(("spark.conf.", "train.model.args."))
    return is_credential(key if is_free else "", value)


def format_value(value: Any) -> str:
    """Return a value as one line of YAML."""
    if isinstance(value, list):
        return f"[{', '.join(map(format_value, value))}]"
    if isinstance(value, str) and _is_plain(value):
        return value
    # JSON would escape an emoji as two characters, which YAML does not join.
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)


def _is_plain(text: str) -> bool:
    try:
        return bool(_PLAIN_TEXT.fullmatch(text)) and parse_yaml(text, "") == text
    except ConfigError:  # such as 010
        return False


def _has_key(value: Any, key: str) -> bool:
    """Whether nested mappings have a dotted key, or end above it."""
    name, _, rest = key.partition(".")
    if not isinstance(value, Mapping) or name not in value:
        return isinstance(value, Mapping) and key in value
    return not rest or key in value or _has_key(value[name], rest)
