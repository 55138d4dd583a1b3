"""All settings by their dotted keys, such as train.model.filters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, Optional, cast

from pydantic.fields import FieldInfo

from halftone.config.base import ConfigSection
from halftone.config.families import FAMILIES, AnyNetwork
from halftone.config.root import Config
from halftone.config.yaml_values import is_section


class KnownSetting(NamedTuple):
    """A setting of the config, or a section of it."""

    key: str
    section: type[ConfigSection]  # that has it
    name: str  # of the field in the section
    family: str = ""  # of networks, for settings below train.model

    @property
    def field(self) -> FieldInfo:
        return self.section.model_fields[self.name]

    @property
    def is_section(self) -> bool:
        """Whether it is a section; `train.model` is a setting too, as it chooses a section."""
        return is_section(self.field.annotation)


@cache
def settings_and_sections() -> tuple[KnownSetting, ...]:
    """Return all, in the order of a config; each section comes before its settings."""
    return tuple(_walk(Config, ""))


@cache
def known_settings() -> tuple[KnownSetting, ...]:
    """Return all settings, in the order of a config; families may have a key in common."""
    return tuple(setting for setting in settings_and_sections() if not setting.is_section)


@cache
def known_keys() -> tuple[str, ...]:
    """Return the keys of all settings, each once, in the order of a config."""
    return tuple(dict.fromkeys(setting.key for setting in known_settings()))


def section_names() -> list[str]:
    """Return the names of the sections of a config, such as train."""
    return [name for name, field in Config.model_fields.items() if is_section(field.annotation)]


def join_key(location: tuple[Any, ...]) -> str:
    """Return the dotted key for a location in an error of pydantic, which names families too."""
    names = list(map(str, location))
    if names[:2] == ["train", "model"] and names[2:3] and names[2] in FAMILIES:
        del names[2]
    return ".".join(names)


def find_section(location: tuple[Any, ...]) -> Optional[type[ConfigSection]]:
    """Return the section at a location in an error of pydantic; None if it is something else."""
    annotation: Any = Config
    for part in location:
        if annotation == AnyNetwork:
            annotation = FAMILIES.get(str(part))
        elif is_section(annotation) and part in annotation.model_fields:
            annotation = annotation.model_fields[part].annotation
        else:
            return None
    return annotation if is_section(annotation) else None


def _walk(section: type[ConfigSection], prefix: str, family: str = "") -> Iterator[KnownSetting]:
    for name, field in section.model_fields.items():
        key, annotation = prefix + name, cast(Any, field.annotation)
        yield KnownSetting(key, section, name, family)
        if isinstance(annotation, type) and issubclass(annotation, ConfigSection):
            yield from _walk(annotation, f"{key}.", family)
        elif annotation == AnyNetwork:
            for network_family, network in FAMILIES.items():
                yield from _walk(network, f"{key}.", network_family)
