"""Combinations of values: all, or some drawn; and what they are called."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from halftone.dataset import splits
from halftone.experiment import spaces
from halftone.experiment.spaces import Settings, ValueSpace
from halftone.experiment.spec import RandomSpec


class Combination(NamedTuple):
    name: str
    settings: Settings  # by the space's own keys


def list_combinations(space: ValueSpace) -> Iterator[Combination]:
    """All combinations of a value for each key, the last key's changing first."""
    last = Counter(map(_short_key, space))
    for values in itertools.product(*(spaces.name_values(each).items() for each in space.values())):
        parts = []
        for key, (name, _) in zip(space, values):
            short = _short_key(key) if last[_short_key(key)] == 1 else key
            parts.append(name if isinstance(space[key], Mapping) else f"{short}-{name}")
        yield Combination(
            _folder_name("_".join(parts)), dict(zip(space, (own for _, own in values)))
        )


def draw_combinations(random_spec: RandomSpec) -> list[Combination]:
    """Choose `count` of all combinations, none twice: a pure function of the space and the seed.

    With `balance` no value of that key is drawn more than once more than another.

    Raises:
        ValueError: there are not so many combinations.
    """
    shuffled = sorted(
        list_combinations(random_spec.from_),
        key=lambda one: splits.hash_to_uint64(_sorted_json(one.settings), random_spec.seed, "draw"),
    )
    if random_spec.count > len(shuffled):
        raise ValueError(
            f"random.count = {random_spec.count}: is more than the {len(shuffled)} combinations of "
            "random.from"
        )
    if random_spec.balance is not None:
        seen: Counter[str] = Counter()
        turns = []
        for one in shuffled:
            value = _sorted_json(one.settings[random_spec.balance])
            turns.append(seen[value])
            seen[value] += 1
        # The sort is stable: the first of each value, then the second of each, and so on.
        shuffled = [one for _, one in sorted(zip(turns, shuffled), key=lambda pair: pair[0])]
    return shuffled[: random_spec.count]


def _short_key(key: str) -> str:
    """The last part of each key."""
    return "-".join(one.strip().rpartition(".")[2] for one in key.split(","))


def _folder_name(name: str) -> str:
    # A folder of this name must be possible, also where the key is a mistake, named as such later.
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-") or "run"


def _sorted_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
