"""Divide the keys of a store into ranges that can be listed at the same time.

A store lists keys only in their order, a page at a time. Any text can divide them, also one that is
no key, so the ranges are complete whatever has been found out about the keys. Long ranges are
divided by the character behind the prefix that their keys share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Callable, NamedTuple, Optional

# Lists up to so many of the first keys after a key; returns also whether there are more.
ListPage = Callable[[str, int], tuple[list[str], bool]]


class KeyRange(NamedTuple):
    start_after: str  # empty: from the first key
    end: str  # the last key that counts; empty: to the last

    def holds(self, key: str) -> bool:
        """Return whether a key after `start_after` is in the range."""
        return not self.end or key <= self.end


class _Part(NamedTuple):
    keys: KeyRange
    num_keys: Optional[int] = None  # if they fit into a page
    is_final: bool = False  # not to be divided


_PAGE_KEYS = 1000  # what a store returns at most
_FEW_PAGES = 8  # so many pages are listed faster than divided
_PAGES_PER_RANGE = 4  # at least, as a task for a page would take longer than to list it
_ENOUGH_RANGES = 32
_MAX_RANGES = 128
_MAX_PARTS = 64  # by one division
_MAX_ROUNDS = 64
_REQUESTS_AT_ONCE = 16
_NUM_SAMPLES = 8
_MAX_PREFIX_BYTES = 1000  # a key may have 1,024


def find_key_ranges(list_page: ListPage, page_keys: int = _PAGE_KEYS) -> list[KeyRange]:
    """Return ranges that follow one another from the first key to the last, at most 128.

    Few keys are one range. Of more, some hundred requests find about 32 ranges or more.

    Args:
        page_keys: ranges with fewer keys are not divided.
    """
    if _are_few(list_page, page_keys):
        return [KeyRange("", "")]
    parts = [_Part(KeyRange("", ""))]
    divide = partial(_divide, list_page, page_keys)
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        for _ in range(_MAX_ROUNDS):
            if len(parts) >= _ENOUGH_RANGES or all(part.is_final for part in parts):
                break
            divided = pool.map(divide, parts)
            parts = list(_join_small(part for some in divided for part in some))
        ranges = [part.keys for part in parts]
        num_joined = _count_to_join(ranges, pool, partial(_list_page_after, list_page, page_keys))
    return _join_ranges(ranges, num_joined)


def _are_few(list_page: ListPage, page_keys: int) -> bool:
    position, is_truncated = "", True
    for _ in range(_FEW_PAGES):
        keys, is_truncated = list_page(position, page_keys)
        if not keys or not is_truncated:
            return True
        position = keys[-1]
    return False


def _divide(list_page: ListPage, page_keys: int, part: _Part) -> list[_Part]:
    """Return the parts of a range by the character behind the common prefix of its keys."""
    if part.is_final:
        return [part]
    whole = part.keys
    keys, is_truncated = list_page(whole.start_after, page_keys)
    num_keys = sum(map(whole.holds, keys))
    if num_keys < len(keys) or not is_truncated:
        return [_Part(whole, num_keys, is_final=True)]
    if len(keys) < 2:
        return [_Part(whole, is_final=True)]
    first_key = partial(_find_first_key, list_page, whole)
    prefix = _find_common_prefix(first_key, keys)
    if len(prefix.encode()) > _MAX_PREFIX_BYTES:
        return [_Part(whole, is_final=True)]
    position, parts = whole.start_after, []
    for bound in _find_bounds(first_key, prefix, keys):
        parts.append(_Part(KeyRange(position, bound)))
        position = bound
    return [*parts, _Part(KeyRange(position, whole.end), is_final=not parts)]


def _find_first_key(list_page: ListPage, whole: KeyRange, start_after: str) -> Optional[str]:
    """Return the first key after a text, if it is in the range."""
    keys, _ = list_page(start_after, 1)
    return keys[0] if keys and whole.holds(keys[0]) else None


def _find_common_prefix(first_key: Callable[[str], Optional[str]], keys: Sequence[str]) -> str:
    """Return the longest prefix of the first page that all other keys of the range have too.

    There may be one key without it: the next text behind all texts with the prefix.
    """
    prefix = keys[-1]
    while not keys[0].startswith(prefix):
        prefix = prefix[:-1]
    low, high = 0, len(prefix)
    while low < high:
        middle = (low + high + 1) // 2
        bound = _text_behind(prefix[:middle])
        if not bound or first_key(bound) is None:
            low = middle
        else:
            high = middle - 1
    return prefix[:low]


def _find_bounds(
    first_key: Callable[[str], Optional[str]], prefix: str, keys: Sequence[str]
) -> Iterator[str]:
    """Yield texts between keys that begin with the prefix and different characters after it."""
    key: Optional[str] = keys[1] if keys[0] == prefix else keys[0]
    for _ in range(_MAX_PARTS - 1):
        if key is None or not key.startswith(prefix):
            return
        bound = _text_behind(key[: len(prefix) + 1])
        key = first_key(bound) if bound else None
        if key is not None:
            yield bound


def _text_behind(prefix: str) -> str:
    """Return the next text behind all texts with a prefix; empty if there is none."""
    for length in range(len(prefix), 0, -1):
        code = ord(prefix[length - 1]) + 1
        if 0xD800 <= code <= 0xDFFF:  # halves of UTF-16 characters, not characters
            code = 0xE000
        if code <= 0x10FFFF:
            return prefix[: length - 1] + chr(code)
    return ""


def _join_small(parts: Iterator[_Part]) -> Iterator[_Part]:
    """Join neighbours that together have few keys."""
    waiting: Optional[_Part] = None
    for part in parts:
        if waiting is not None:
            num_keys = (waiting.num_keys or 0) + (part.num_keys or 0)
            is_small = None not in (waiting.num_keys, part.num_keys)
            if is_small and num_keys <= _FEW_PAGES * _PAGE_KEYS:
                joined = KeyRange(waiting.keys.start_after, part.keys.end)
                waiting = _Part(joined, num_keys, is_final=True)
                continue
            yield waiting
        waiting = part
    if waiting is not None:
        yield waiting


def _list_page_after(
    list_page: ListPage, page_keys: int, start_after: str
) -> tuple[list[str], bool]:
    return list_page(start_after, page_keys)


def _count_to_join(
    ranges: Sequence[KeyRange],
    pool: ThreadPoolExecutor,
    list_page_after: Callable[[str], tuple[list[str], bool]],
) -> int:
    """Return how many neighbours together have about _PAGES_PER_RANGE pages, by samples."""
    step = -(-len(ranges) // _NUM_SAMPLES)
    samples = range(0, len(ranges), step)
    pages = pool.map(list_page_after, [ranges[index].start_after for index in samples])
    spans = []
    for index, (keys, _) in zip(samples, pages):
        some = ranges[index : index + _MAX_RANGES]
        spans.append(next((n for n, one in enumerate(some) if one.holds(keys[-1])), 0))
    return max(1, sorted(spans)[len(spans) // 2] * _PAGES_PER_RANGE)


def _join_ranges(ranges: Sequence[KeyRange], num_joined: int) -> list[KeyRange]:
    """Join so many neighbours each, or more if there are more than _MAX_RANGES."""
    num = min(-(-len(ranges) // num_joined), _MAX_RANGES)
    starts = [len(ranges) * number // num for number in range(num + 1)]
    return [
        KeyRange(ranges[low].start_after, ranges[high - 1].end)
        for low, high in zip(starts, starts[1:])
    ]
