"""Read YAML, and refuse what its readers understand differently.

YAML 1.1, which PyYAML implements, reads `010` as 8, `1:30` as 90 and `off` as false; YAML 1.2 reads
10 and two texts. Here numbers are decimal (or hexadecimal), `true` and `false` are the only
booleans, dates are text, and a number in another notation is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional, Union

import yaml

from halftone.config.base import ConfigError, mistakes_message

_AMBIGUOUS_NUMBER = re.compile(
    r"[-+]?("
    r"0[0-9_]+|0o[0-7_]+|0b[01_]+|0x[0-9a-fA-F]*_[0-9a-fA-F_]*"
    r"|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"  # base 60
    r"|[0-9]+_[0-9_]*(\.[0-9_]*)?"
    r")"
)


class _Loader(yaml.SafeLoader):
    """SafeLoader with the numbers and booleans of YAML 1.2, which rejects duplicate keys."""

    yaml_implicit_resolvers: Any = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[Any] = []
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.append(key)
        return super().construct_mapping(node, deep=deep)


for _tag, _pattern, _first_chars in (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(  # type: ignore[no-untyped-call]
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"(?:{_pattern})$"),
        [*_first_chars, *([""] if _tag == "null" else [])],
    )


def read_yaml(path: str) -> dict[str, Any]:
    """Read the settings in a YAML file.

    Raises:
        ConfigError: the file cannot be read, or is not a YAML mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: cannot read the config: not UTF-8 text") from None
    raw = parse_yaml(text, path)
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must hold settings as key: value, holds a {type(raw).__name__}")
    return raw


def parse_yaml(text: str, source: str, key: str = "") -> Any:
    """Return the value of YAML text.

    Args:
        source: the name of the text in error messages.
        key: the dotted key of the value; empty for a whole file.

    Raises:
        ConfigError: it is not YAML, or has numbers that readers of YAML understand differently.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        mistakes = list(_find_ambiguous_numbers(node, key, ()))
        is_empty = node is None or bool(mistakes)
        value = None if is_empty else loader.construct_document(node)  # type: ignore[no-untyped-call]
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML: {_describe_error(error)}") from None
    if mistakes:
        raise ConfigError(mistakes_message(source, mistakes))
    return value


def _describe_error(error: yaml.YAMLError) -> str:
    """Return one line; that of PyYAML names a text and not its file, and has an excerpt below."""
    if isinstance(error, yaml.reader.ReaderError):
        return f"unacceptable character #x{error.character:04x} at position {error.position}"
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    text = " ".join((error.problem or "").split()).replace("'<stream end>'", "the end")
    if "'\\t'" in text:
        text += "; indent with spaces"
    if error.context and error.context_mark:
        context = f"{error.context} from line {error.context_mark.line + 1}"
        text = f"{context} {text}" if text.startswith("but ") else f"{text} ({context})"
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {text}" if mark else text


def find_lines(path: str) -> dict[str, int]:
    """Return the line, from 1, of each dotted key in a file that `read_yaml` can read.

    Keys that a merge (<<) adds have none.
    """
    node = _Loader(Path(path).read_text(encoding="utf-8")).get_single_node()
    return dict(_iterate_lines(node, ""))


def _iterate_lines(node: Optional[yaml.Node], prefix: str) -> Iterator[tuple[str, int]]:
    for key_node, value in node.value if isinstance(node, yaml.MappingNode) else ():
        key = f"{prefix}{key_node.value}"
        yield key, key_node.start_mark.line + 1
        yield from _iterate_lines(value, f"{key}.")


def _find_ambiguous_numbers(
    node: Optional[yaml.Node], key: str, parents: tuple[yaml.Node, ...]
) -> Iterator[str]:
    """Yield a message for each number below a node.

    Raises:
        ConstructorError: a node contains itself, by an alias.
    """
    if node in parents:
        raise yaml.constructor.ConstructorError(None, None, f"{key} contains itself")
    if isinstance(node, yaml.ScalarNode):
        if node.style is None and _AMBIGUOUS_NUMBER.fullmatch(node.value):
            yield f"{key} = {node.value}: {_advise(node.value)}".lstrip(" =")
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _find_ambiguous_numbers(item, _join(key, number), (*parents, node))
    elif isinstance(node, yaml.MappingNode):
        for key_node, item in node.value:
            yield from _find_ambiguous_numbers(key_node, _join(key, "a key"), (*parents, node))
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            yield from _find_ambiguous_numbers(item, _join(key, name), (*parents, node))


def _join(key: str, name: Union[str, int]) -> str:
    return f"{key}.{name}" if key else str(name)


def _advise(text: str) -> str:
    """Say what to write instead of an ambiguous number."""
    digits = text.replace("_", "").lstrip("+-")
    sign = "-" if text.startswith("-") else ""
    if ":" in digits:
        meaning = "readers of YAML take this for a text, or a number in base 60"
        value: Union[int, float] = 0
        for part in digits.split(":"):
            value = value * 60 + (float(part) if "." in part else int(part))
        numbers = f"{sign}{value:.15g}"
    elif digits[:2] in ("0o", "0b", "0x"):
        meaning = "readers of YAML take this for a text or a number"
        numbers = f"{sign}{int(digits, 0)}"
    elif "_" in text:
        meaning = "readers of YAML take this for a text or a number"
        numbers = sign + (digits.lstrip("0") or "0")
    else:
        meaning = "readers of YAML take this for a decimal or an octal number"
        octal = int(digits, 8) if set(digits) <= set("01234567") else None
        numbers = sign + (digits.lstrip("0") or "0")
        if octal is not None and numbers != f"{sign}{octal}":
            numbers += f" or {sign}{octal}"
    return f'{meaning}; write {numbers}, or "{text}" in quotes for a text'
