"""The checksum of TFRecord files, against Google's implementation."""

from __future__ import annotations

import google_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.archives.crc32c import compute_crc, mask_crc


def test_the_checksums_of_rfc_3720() -> None:
    assert compute_crc(bytes(32)) == 0x8A9136AA
    assert compute_crc(bytes([255] * 32)) == 0x62A8AB43
    assert compute_crc(bytes(range(32))) == 0x46DD794E
    assert compute_crc(b"123456789") == 0xE3069283
    assert compute_crc(b"") == 0
    assert mask_crc(b"123456789") == (((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) % 2**32)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 400))
def test_any_bytes_have_the_checksum_of_another_implementation(data: bytes, times: int) -> None:
    assert compute_crc(data * times) == google_crc32c.value(data * times)
