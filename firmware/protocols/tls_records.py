"""How many bytes on the wire TLS 1.3 makes of a body that is sent in full records, and the other way round. Pure."""

from typing import Final

RECORD_BYTES: Final = 16_384
"""What a record holds at most."""
RECORD_OVERHEAD: Final = 22
"""What is added to a record: its header, the kind of its content, the tag."""


def payload_of(wire_bytes: int, byte_count: int) -> int:
    """Return how many of `byte_count` bytes are in so many of the TLS records that carry them."""
    whole, rest = divmod(max(0, wire_bytes), RECORD_BYTES + RECORD_OVERHEAD)
    return min(byte_count, whole * RECORD_BYTES + max(0, rest - RECORD_OVERHEAD))


def wire_bytes_of(byte_count: int) -> int:
    """Return what so many bytes take in TLS records."""
    return byte_count + -(-byte_count // RECORD_BYTES) * RECORD_OVERHEAD
