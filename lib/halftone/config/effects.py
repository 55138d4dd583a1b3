"""Which settings change a result: stated once, on the field, and read by every fingerprint.

A field without a mark changes the result of its stage: the rows of a dataset, the weights of a
training after each epoch, the prediction for an image. A field with `json_schema_extra=NOTHING`
(or RESUMABLE, ROWS, METRICS, SHOWN) does not, and a stage that ran with another value of it has
nothing to do again, but for the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from halftone.config.base import ConfigSection

_KEY = "effect"
RESULT = "result"
_Section = TypeVar("_Section", bound=ConfigSection)
# The result of a whole training; but a training may resume from a checkpoint with another value.
RESUMABLE: dict[str, Any] = {_KEY: "resumable"}
# Which images are scored; not the prediction for an image.
ROWS: dict[str, Any] = {_KEY: "rows"}
# What metrics.json contains; not the predictions.
METRICS: dict[str, Any] = {_KEY: "metrics"}
# What the report shows; neither the predictions nor metrics.json.
SHOWN: dict[str, Any] = {_KEY: "shown"}
# How the work is done, or where its output goes.
NOTHING: dict[str, Any] = {_KEY: "nothing"}
_ADDED = "added"
# A setting that changes a result, and that older versions of Halftone did not have. While it has
# its default, digests of the settings are as in these versions, so that their results stay valid.
ADDED: dict[str, Any] = {_ADDED: True}
# The names of all marks in json_schema_extra.
MARKS = (_KEY, _ADDED)


def effect_of(section: type[ConfigSection], name: str) -> str:
    """Return the effect of one field of a section: RESULT, or the value of its mark."""
    extra = section.model_fields[name].json_schema_extra
    return str(extra[_KEY]) if isinstance(extra, dict) and _KEY in extra else RESULT


def result_settings(
    section: ConfigSection, *more_effects: dict[str, Any], mode: str = "json"
) -> dict[str, Any]:
    """Return the settings of a section that change a result, with those of its subsections.

    Args:
        more_effects: also return the settings with these marks.
        mode: as in `model_dump`.
    """
    effects = {RESULT, *(str(mark[_KEY]) for mark in more_effects)}
    return section.model_dump(mode=mode, include=_select(section, effects))


def reset_neutral_settings(section: _Section) -> _Section:
    """Return a section in which settings that change nothing, or a report, have their defaults."""
    return reset_settings(section, NOTHING, SHOWN)


def reset_settings(section: _Section, *marks: dict[str, Any]) -> _Section:
    """Return a section in which each setting with one of the marks has its default value."""
    effects = {str(mark[_KEY]) for mark in marks}
    values: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if effect_of(type(section), name) in effects:
            values[name] = field.get_default(call_default_factory=True)
        elif isinstance(value, ConfigSection):
            values[name] = reset_settings(value, *marks)
    return section.model_copy(update=values)


def drop_added_defaults(section: ConfigSection, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a digest is made of: settings without those marked ADDED that have defaults.

    Args:
        values: settings of the section, or some of them, as `model_dump` or `result_settings`
            returns them.
    """
    kept: dict[str, Any] = {}
    for name, value in values.items():
        setting, field = getattr(section, name), type(section).model_fields[name]
        extra = field.json_schema_extra
        is_added = isinstance(extra, dict) and _ADDED in extra
        if isinstance(setting, ConfigSection):
            kept[name] = drop_added_defaults(setting, value)
        elif not (is_added and setting == field.get_default(call_default_factory=True)):
            kept[name] = value
    return kept


def _select(section: ConfigSection, effects: set[str]) -> dict[str, Any]:
    """The argument `include` of model_dump: True for a field, a dict for a subsection."""
    selected: dict[str, Any] = {}
    for name in type(section).model_fields:
        if effect_of(type(section), name) in effects:
            value: Any = getattr(section, name)
            selected[name] = _select(value, effects) if isinstance(value, ConfigSection) else True
    return selected
