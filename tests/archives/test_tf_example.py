"""The reader of tf.train.Example, against TensorFlow's own messages."""

from __future__ import annotations

from typing import Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow import train

from halftone.archives.tf_example import (
    BYTES,
    FLOAT,
    INT64,
    ExampleError,
    Feature,
    read_features,
)
from packed_images import make_example

Values = Union[list[bytes], list[int], list[float]]


def read(data: bytes) -> dict[str, Feature]:
    return read_features(lambda offset, size: data[offset : offset + size], len(data))


def values(data: bytes, feature: Feature) -> tuple[int, Values]:
    if feature.kind == BYTES:
        return BYTES, [data[start:end] for start, end in feature.byte_values()]
    return feature.kind, feature.int_values() if feature.kind == INT64 else []


FEATURES = st.one_of(
    st.lists(st.binary(max_size=200), max_size=3),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=3),
    st.lists(st.floats(width=32), min_size=1, max_size=3),
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=9), FEATURES, max_size=5))
def test_features_have_the_values_that_tensorflow_wrote(features: dict[str, Values]) -> None:
    data = make_example(features)
    expected = {
        name: (FLOAT, []) if some and isinstance(some[0], float) else (INT64, some)
        for name, some in features.items()
    }
    expected |= {
        name: (BYTES, some)
        for name, some in features.items()
        if not some or isinstance(some[0], bytes)
    }
    assert {name: values(data, feature) for name, feature in read(data).items()} == expected


def test_numbers_that_are_not_packed_and_parts_that_follow_each_other() -> None:
    # Int64List with two fields of varints: 5 and -1.
    numbers = b"\x08\x05" + b"\x08" + b"\xff" * 9 + b"\x01"
    feature = b"\x1a" + bytes([len(numbers)]) + numbers
    entry = b"\x0a\x01n\x12" + bytes([len(feature)]) + feature
    features = b"\x0a" + bytes([len(entry)]) + entry
    example = b"\x0a" + bytes([len(features)]) + features
    # The value before the key, a field that is not known, and the same message joined to another.
    turned = b"\x12" + bytes([len(feature)]) + feature + b"\x0a\x01m"
    features = b"\x0a" + bytes([len(turned)]) + turned
    joined = example + b"\x28\x07" + b"\x0a" + bytes([len(features)]) + features
    parsed = train.Example.FromString(joined).features.feature
    assert {name: list(parsed[name].int64_list.value) for name in parsed} == {
        "n": [5, -1],
        "m": [5, -1],
    }
    assert {name: feature.int_values() for name, feature in read(joined).items()} == {
        "n": [5, -1],
        "m": [5, -1],
    }


def test_what_is_large_is_not_read() -> None:
    data = make_example({"image": [bytes(10**6)], "label": [3], "two": [bytes(5000)] * 2})
    sizes: list[int] = []

    def read_at(offset: int, size: int) -> bytes:
        sizes.append(size)
        return data[offset : offset + size]

    found = read_features(read_at, len(data))
    assert sum(sizes) < 10_000
    assert found["label"].int_values() == [3]
    ((start, end),) = found["image"].byte_values()
    assert end - start == 10**6
    with pytest.raises(ExampleError, match="several large values"):
        found["two"].byte_values()


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=60), st.integers(0, 10**6), st.integers(0, 255))
def test_damaged_messages_are_errors_or_messages(data: bytes, place: int, byte: int) -> None:
    """Never another exception, and never a place outside of the message."""
    whole = bytearray(make_example({"image": [data], "label": [7]}))
    whole[place % len(whole)] = byte
    for damaged in (bytes(whole), data):
        try:
            for feature in read(damaged).values():
                assert feature.is_whole
                assert 0 <= feature.start <= feature.end <= len(damaged)
                assert all(end <= len(damaged) for _, end in feature.byte_values())
                feature.int_values()
        except ExampleError:
            pass


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05ab", b"\x0b", b"\x00\x01", b"\xff" * 12])
def test_other_bytes_are_errors(data: bytes) -> None:
    with pytest.raises(ExampleError):
        read(data)
