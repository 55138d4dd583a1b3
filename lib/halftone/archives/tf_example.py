"""The features of a tf.train.Example, read from its protocol buffer without TensorFlow.

    message Example  { Features features = 1; }
    message Features { map<string, Feature> feature = 1; }
    message Feature  { oneof kind { BytesList = 1; FloatList = 2; Int64List = 3; } }

Each list is `repeated value = 1`. What is larger than a few kilobytes is skipped, not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable, NamedTuple

# Bytes of the message at a place.
ReadAt = Callable[[int, int], bytes]
BYTES, FLOAT, INT64 = 1, 2, 3
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
# A tag and a length, or a number, take at most so many bytes.
_MAX_HEAD_BYTES = 20
_MAX_VARINT_BYTES = 10
# What is read of a feature: all of a label, and the beginning of an image.
_FEATURE_BYTES = 4096
_MAX_KEY_BYTES = 4096


class ExampleError(ValueError):
    """A record is no tf.train.Example."""


class _Field(NamedTuple):
    number: int
    wire_type: int
    start: int  # of the content
    end: int
    value: int  # of a varint


class Feature(NamedTuple):
    """A feature, of which only the beginning is in memory."""

    kind: int  # BYTES, FLOAT, INT64, or 0 if it is empty
    start: int  # of the list in the message
    end: int
    head: bytes  # of the list

    def byte_values(self) -> list[tuple[int, int]]:
        """Return start and end of each value in the message.

        Raises:
            ExampleError: the list is damaged, or has values behind its beginning.
        """
        fields = _iter_fields(self._read, self.start, self.end)
        return [(field.start, field.end) for field in fields if _is_value(field, _LENGTH)]

    def text_values(self) -> list[bytes]:
        """Return the values of a feature that `is_whole`."""
        return [self._read(start, end - start) for start, end in self.byte_values()]

    def int_values(self) -> list[int]:
        """Return the numbers of a feature that `is_whole`, which are packed or not."""
        values: list[int] = []
        for field in _iter_fields(self._read, self.start, self.end):
            if _is_value(field, _VARINT):
                values.append(field.value)
            elif _is_value(field, _LENGTH):
                packed, position = self._read(field.start, field.end - field.start), 0
                while position < len(packed):
                    value, position = _parse_varint(packed, position)
                    values.append(value)
        return [value - 2**64 if value >= 2**63 else value for value in values]

    @property
    def is_whole(self) -> bool:
        """Whether all of the list is in memory."""
        return len(self.head) == self.end - self.start

    def beginning(self, start: int) -> bytes:
        """Return the bytes of a value that are in memory."""
        return self.head[start - self.start :]

    def _read(self, offset: int, num_bytes: int) -> bytes:
        first = offset - self.start
        data = self.head[first : first + num_bytes]
        # Fields are looked at up to the end of the message; values must be there completely.
        if not data and num_bytes:
            raise ExampleError("a feature has several large values")
        return data


def _is_value(field: _Field, wire_type: int) -> bool:
    return field.number == 1 and field.wire_type == wire_type


def read_features(read: ReadAt, size_bytes: int) -> dict[str, Feature]:
    """Return the features by name, in the order of the message.

    Args:
        read: returns bytes of the message.
        size_bytes: of the message.

    Raises:
        ExampleError: the message is no tf.train.Example.
    """
    features: dict[str, Feature] = {}
    for part in _iter_messages(read, 0, size_bytes):
        for entry in _iter_messages(read, part.start, part.end):
            name, feature = _read_entry(read, entry)
            features[name] = feature  # of a name that comes twice, the last one counts
    return features


def _iter_messages(read: ReadAt, start: int, end: int) -> Iterator[_Field]:
    for field in _iter_fields(read, start, end):
        if field.number == 1:
            if field.wire_type != _LENGTH:
                raise ExampleError("a field has another type")
            yield field


def _read_entry(read: ReadAt, entry: _Field) -> tuple[str, Feature]:
    name, feature = "", Feature(0, entry.end, entry.end, b"")
    for field in _iter_fields(read, entry.start, entry.end):
        if field.number in (1, 2) and field.wire_type != _LENGTH:
            raise ExampleError("a field has another type")
        if field.number == 1:
            if field.end - field.start > _MAX_KEY_BYTES:
                raise ExampleError("the name of a feature is too long")
            name = read(field.start, field.end - field.start).decode("utf-8", "replace")
        elif field.number == 2:
            for kind in _iter_fields(read, field.start, field.end):
                if kind.number in (BYTES, FLOAT, INT64) and kind.wire_type == _LENGTH:
                    head = read(kind.start, min(_FEATURE_BYTES, kind.end - kind.start))
                    feature = Feature(kind.number, kind.start, kind.end, head)
    return name, feature


def _iter_fields(read: ReadAt, start: int, end: int) -> Iterator[_Field]:
    while start < end:
        head = read(start, min(_MAX_HEAD_BYTES, end - start))
        tag, num_bytes = _parse_varint(head, 0)
        number, wire_type = tag >> 3, tag & 7
        value = 0
        if wire_type == _VARINT:
            value, last = _parse_varint(head, num_bytes)
            field = _Field(number, wire_type, start + num_bytes, start + last, value)
        elif wire_type == _LENGTH:
            size, num_bytes = _parse_varint(head, num_bytes)
            field = _Field(number, wire_type, start + num_bytes, start + num_bytes + size, 0)
        elif wire_type in _FIXED_BYTES:
            size = _FIXED_BYTES[wire_type]
            field = _Field(number, wire_type, start + num_bytes, start + num_bytes + size, 0)
        else:
            raise ExampleError(f"a field has the unknown type {wire_type}")
        if not number or field.end > end:
            raise ExampleError("a field does not fit into its message")
        yield field
        start = field.end


def _parse_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the number at a position, and where it ends."""
    value = 0
    for index, byte in enumerate(data[position : position + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (2**64 - 1), position + index + 1
    raise ExampleError("a number is not complete")
