"""The little of three binary formats that a log of scalars takes: protobuf fields, TFRecord, LevelDB's log.

Read by hand, so that no tracker has to be installed; checksums are not checked, lengths are.
Sources: the protobuf encoding guide; TensorFlow's record_writer.h; LevelDB's doc/log_format.md, which W&B frames its
offline runs by.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple, final

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
BLOCK = 32 * 1024
LARGEST_RECORD = 64 * 1024 * 1024
_HEAD = struct.Struct("<IHB")  # checksum, length and type of a piece of LevelDB's log
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@final
class WireField(NamedTuple):
    """A field of a protobuf message: its number and its value, bytes of a string or of a message as they are."""

    number: int
    wire: int
    raw: bytes
    varint: int = 0

    @property
    def text(self) -> str:
        """The value as text."""
        return self.raw.decode("utf-8", "replace")

    @property
    def real(self) -> float:
        """The value as a number: of 8 or 4 bytes as IEEE 754, else whole and signed."""
        if self.wire == FIXED64:
            return float(struct.unpack("<d", self.raw)[0])
        if self.wire == FIXED32:
            return float(struct.unpack("<f", self.raw)[0])
        return float(self.varint - (1 << 64) if self.varint >> 63 else self.varint)


def message(data: bytes) -> Iterator[WireField]:
    """The fields of a protobuf message. Raises ValueError where the bytes are none."""
    at = 0
    while at < len(data):
        key, at = (data[at], at + 1) if data[at] < 0x80 else _varint(data, at)  # most numbers are a byte
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(data, at)
            yield WireField(number, wire, b"", value)
            continue
        if wire == BYTES:
            size, at = (data[at], at + 1) if at < len(data) and data[at] < 0x80 else _varint(data, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + size > len(data):
            raise ValueError(f"a field of {size} bytes at byte {at} ends beyond the message")
        yield WireField(number, wire, data[at : at + size])
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("a number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise ValueError(f"a number at byte {at} is too long")


def tf_records(data: bytes) -> Iterator[bytes]:
    """The records of a TFRecord file. Raises ValueError where one is cut off, after those before it."""
    at = 0
    while at < len(data):
        if at + 12 > len(data):
            raise ValueError("its last record is cut off")
        (size,) = struct.unpack_from("<Q", data, at)
        if size > LARGEST_RECORD or at + 16 + size > len(data):
            raise ValueError(f"a record at byte {at} is cut off")
        yield data[at + 12 : at + 12 + size]
        at += 16 + size


def level_records(data: bytes, start: int = 0) -> Iterator[bytes]:
    """The records of a LevelDB log; ``start`` bytes of a header stand in its first block.

    Raises ValueError where a record is cut off, after those before it.
    """
    at, parts = start, b""
    while at < len(data):
        left = BLOCK - at % BLOCK
        if left < _HEAD.size:
            at += left
            continue
        if at + _HEAD.size > len(data):
            raise ValueError("its last record is cut off")
        _, size, kind = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if kind == 0 and size == 0:  # the rest of a block that was laid out beforehand
            at += left - _HEAD.size
            continue
        if kind not in (FULL, FIRST, MIDDLE, LAST) or at + size > len(data) or size > left - _HEAD.size:
            raise ValueError(f"a record at byte {at} is cut off or damaged")
        parts = data[at : at + size] if kind in (FULL, FIRST) else parts + data[at : at + size]
        at += size
        if kind in (FULL, LAST):
            yield parts
