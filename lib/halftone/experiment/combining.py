"""All combinations of the values of a space, or a random draw of them, each with a name."""

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
    settings: Settings  # by the keys of the space


def list_combinations(space: ValueSpace) -> Iterator[Combination]:
    """Yield all combinations of one value for each key; the last key varies fastest."""
    short_key_counts = Counter(map(_short_key, space))
    named_values = (spaces.name_values(values).items() for values in space.values())
    for choices in itertools.product(*named_values):
        parts = []
        for key, (name, _) in zip(space, choices):
            short = _short_key(key) if short_key_counts[_short_key(key)] == 1 else key
            parts.append(name if isinstance(space[key], Mapping) else f"{short}-{name}")
        yield Combination(
            _folder_name("_".join(parts)), dict(zip(space, (value for _, value in choices)))
        )


def draw_combinations(random_spec: RandomSpec) -> list[Combination]:
    """Draw `count` combinations without replacement: a pure function of the space and the seed.

    With `balance`, the draw counts of any two values of that key differ by at most one.

    Raises:
        ValueError: `count` exceeds the number of combinations.
    """

    def draw_key(combination: Combination) -> int:
        text = _sorted_json(combination.settings)
        return splits.hash_to_uint64(text, random_spec.seed, "draw")

    shuffled = sorted(list_combinations(random_spec.from_), key=draw_key)
    if random_spec.count > len(shuffled):
        raise ValueError(
            f"random.count = {random_spec.count}: is more than the {len(shuffled)} combinations of "
            "random.from"
        )
    if random_spec.balance is not None:
        seen: Counter[str] = Counter()
        ranks = []
        for combination in shuffled:
            value = _sorted_json(combination.settings[random_spec.balance])
            ranks.append(seen[value])
            seen[value] += 1
        # The sort is stable: the first of each value, then the second of each, and so on.
        ranked = sorted(zip(ranks, shuffled), key=lambda pair: pair[0])
        shuffled = [combination for _, combination in ranked]
    return shuffled[: random_spec.count]


def _short_key(key: str) -> str:
    """Join the last parts of comma-separated dotted keys."""
    return "-".join(part.strip().rpartition(".")[2] for part in key.split(","))


def _folder_name(name: str) -> str:
    # The name must be a valid folder name even if the key is invalid, which is reported later.
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-") or "run"


def _sorted_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
