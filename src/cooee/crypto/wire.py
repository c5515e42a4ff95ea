"""A small strict reader and writer of protobuf's wire encoding: varints and byte strings, nothing else.

The encoding is canonical: fields ascend, none twice, varints are as short as can be. One message has one encoding,
so nobody can change a byte and keep the meaning. Unknown fields are refused: a sender who needs a new field takes a new
version byte. ``skip_unknown=True`` is for foreign formats: fields that the schema does not name are passed over.
Source: protobuf.dev, "Encoding".
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final, NamedTuple

from cooee.crypto.errors import BadMessage

MAX_BYTES: Final = 1 << 16
"""The longest message that is read, 64 KiB: as long as a frame may be."""
_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5
_LAST_FIELD: Final = (1 << 29) - 1
_LAST_NUMBER: Final = (1 << 64) - 1


class Kind(Enum):
    """What a field holds; the value is its wire type."""

    NUMBER = _VARINT
    BYTES = _BYTES


class Field(NamedTuple):
    """One field of a schema. A number is 0…``most``; of bytes there are at most ``most``."""

    kind: Kind
    required: bool = True
    most: int = (1 << 32) - 1


class Fields(NamedTuple):
    """What was read. The schema has checked that required fields are there, each of its kind."""

    numbers: Mapping[int, int]
    byte_strings: Mapping[int, bytes]

    def __repr__(self) -> str:
        return "<Fields>"


def write(fields: Iterable[tuple[int, int | bytes | None]]) -> bytes:
    """Encode fields, which must be given in ascending order; None is left out.

    Raises:
        ValueError: the order or a number is wrong.
    """
    result = bytearray()
    last = 0
    for field, value in fields:
        if not last < field <= _LAST_FIELD:
            raise ValueError("fields must ascend")
        last = field
        if value is None:
            continue
        if isinstance(value, int):
            _write_varint(result, field << 3)
            _write_varint(result, value)
        else:
            _write_varint(result, field << 3 | _BYTES)
            _write_varint(result, len(value))
            result += value
    return bytes(result)


def read(data: bytes, schema: Mapping[int, Field], *, skip_unknown: bool = False) -> Fields:
    """Decode what `write` encodes.

    Raises:
        BadMessage: longer than `MAX_BYTES`, cut off, not canonical, a field is missing, of another kind or too large,
            or (unless ``skip_unknown``) not in the schema.
    """
    if len(data) > MAX_BYTES:
        raise BadMessage("a message is too long")
    numbers: dict[int, int] = {}
    byte_strings: dict[int, bytes] = {}
    at, last = 0, 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        field, wire_type = tag >> 3, tag & 7
        if not last < field <= _LAST_FIELD:
            raise BadMessage("a field is twice there or out of order")
        last = field
        known = schema.get(field)
        if known is None:
            if not skip_unknown:
                raise BadMessage("a field is unknown")
            at = _skip(data, at, wire_type)
        elif wire_type != known.kind.value:
            raise BadMessage("a field is of another kind")
        elif wire_type == _VARINT:
            numbers[field], at = _read_varint(data, at)
            if numbers[field] > known.most:
                raise BadMessage("a number is too large")
        else:
            start, at = _span(data, at)
            if at - start > known.most:
                raise BadMessage("a field is too long")
            byte_strings[field] = data[start:at]
    _check_complete(schema, numbers.keys() | byte_strings.keys())
    return Fields(numbers, byte_strings)


def _check_complete(schema: Mapping[int, Field], found: AbstractSet[int]) -> None:
    if any(known.required and field not in found for field, known in schema.items()):
        raise BadMessage("a field is missing")


def _write_varint(result: bytearray, number: int) -> None:
    if not 0 <= number <= _LAST_NUMBER:
        raise ValueError("a number does not fit into 64 bits")
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        if at >= len(data):
            raise BadMessage("a message is cut off")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise BadMessage("a number is too long")
    if number > _LAST_NUMBER or (shift and not byte):
        raise BadMessage("a number is not canonical")
    return number, at


def _span(data: bytes, at: int) -> tuple[int, int]:
    """Return where a byte string starts and ends."""
    length, start = _read_varint(data, at)
    if length > len(data) - start:
        raise BadMessage("a message is cut off")
    return start, start + length


def _skip(data: bytes, at: int, wire_type: int) -> int:
    if wire_type == _VARINT:
        return _read_varint(data, at)[1]
    if wire_type == _BYTES:
        return _span(data, at)[1]
    after = at + {_FIXED64: 8, _FIXED32: 4}.get(wire_type, len(data) + 1)
    if after > len(data):
        raise BadMessage("a field is of no known kind, or cut off")
    return after
