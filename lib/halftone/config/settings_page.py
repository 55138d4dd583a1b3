"""The reference page of all settings.

python -m halftone.config.settings_page > docs/reference/settings.md
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import PydanticUndefined

from halftone.config.base import ConfigSection
from halftone.config.families import FAMILIES
from halftone.config.json_schema import schema_of
from halftone.config.keys import KnownSetting, settings_and_sections
from halftone.config.origins import format_value
from halftone.config.root import Config
from halftone.config.settings_examples import EXAMPLES

_NETWORK = "train.model"
_INTRODUCTION = """\
<!-- Generated: python -m halftone.config.settings_page > docs/reference/settings.md -->

# Settings

A config is a YAML file with the settings that differ from the defaults below. A setting comes from
the file, from an environment variable (`HALFTONE_TRAIN_BATCH_SIZE` for `train.batch_size`), or from
`--set train.batch_size=64`; each takes precedence over those before it. See
[how to configure](../how-to/configure.md). Units are in the names: `_px` pixels, `_secs` seconds,
`_fraction` from 0 to 1.
"""
_NO_RANGE, _NOT_SET = "", "not set"
_TYPES = {"integer": "whole number", "number": "number", "string": "text", "object": "mapping"}


def settings_page() -> str:
    """Return the page as Markdown, with an anchor for each section and each setting."""
    schema = schema_of(Config)
    sections = {**schema["$defs"], Config.__name__: schema}
    return "\n".join([_INTRODUCTION, *(_format_section(*each, sections) for each in _sections())])


def _sections() -> Iterator[tuple[str, str, type[ConfigSection], list[KnownSetting]]]:
    """Yield the title, the anchor, the class and the settings of each section."""
    by_section: dict[tuple[str, str, type[ConfigSection]], list[KnownSetting]] = {}
    for setting in settings_and_sections():
        prefix = setting.key.rpartition(".")[0]
        is_family = prefix == _NETWORK
        title = f"{prefix}, name: {setting.family}" if is_family else prefix or "Whole config"
        anchor = f"{prefix}.{setting.family}" if is_family else prefix or "config"
        settings = by_section.setdefault((title, anchor, setting.section), [])
        if not setting.is_section:
            settings.append(setting)
    for (title, anchor, section), settings in by_section.items():
        yield title, anchor, section, settings


def _format_section(
    title: str,
    anchor: str,
    section: type[ConfigSection],
    settings: list[KnownSetting],
    schemas: Mapping[str, Any],
) -> str:
    properties = schemas[section.__name__]["properties"]
    rows = [_format_row(setting, anchor, properties[setting.name]) for setting in settings]
    return "\n".join(
        [
            f'<a id="{anchor}"></a>',
            "",
            f"## {title}",
            "",
            inspect.cleandoc(section.__doc__ or ""),
            "",
            "| Setting | Type | Default | Range | Meaning |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "```yaml",
            inspect.cleandoc(EXAMPLES[anchor]),
            "```",
            "",
        ]
    )


def _format_row(setting: KnownSetting, section_anchor: str, schema: Mapping[str, Any]) -> str:
    description = setting.field.description or ""
    if setting.key == _NETWORK:
        links = (f"[{family}](#{_NETWORK}.{family})" for family in FAMILIES)
        kind, default, limits = "mapping", "`{name: convnet}`", ", ".join(links)
    else:
        kind, limits = _describe_type(schema)
        default = _format_default(setting)
    anchor = f'<a id="{section_anchor}.{setting.name}"></a>'
    cells = (f"{anchor}`{setting.name}`", kind, default, limits, description)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _format_default(setting: KnownSetting) -> str:
    default = setting.field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return _NOT_SET
    value = setting.section.model_construct(**{setting.name: default}).model_dump(
        mode="json", include={setting.name}
    )[setting.name]
    return f"`{format_value(value)}`"


def _describe_type(schema: Mapping[str, Any]) -> tuple[str, str]:
    """Return the type of a setting in words, and the range of its values."""
    if "anyOf" in schema:
        options = [
            _describe_type(option) for option in schema["anyOf"] if option != {"type": "null"}
        ]
        if options[0][0] == "true or false":  # or a word for it
            return options[0]
        kinds = dict.fromkeys(kind for kind, _ in options)
        ranges = dict.fromkeys(limits for _, limits in options if limits)
        return " or ".join(kinds), "; ".join(ranges)
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        kind = "number" if isinstance(values[0], int) else "word"
        return kind, ", ".join(f"`{format_value(value)}`" for value in values)
    if schema["type"] == "boolean":
        return "true or false", _NO_RANGE
    if schema["type"] == "array":
        kind, limits = _describe_type(schema["items"])
        return f"list of {kind}s", limits
    return _TYPES[schema["type"]], _describe_range(schema)


def _describe_range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if schema["type"] == "integer":
        low = above + 1 if low is None and above is not None else low
        high = below - 1 if high is None and below is not None else high
    start = f"from {low:g}" if low is not None else f"above {above:g}" if above is not None else ""
    end = ""
    if high is not None:
        end = f"to {high:,}" if schema["type"] == "integer" else f"to {high:g}"
    elif below is not None:
        end = f"and below {below:g}" if start else f"below {below:g}"
    return " ".join(part for part in (start, end) if part)


if __name__ == "__main__":
    print(settings_page(), end="")
