"""Reads Protobuf's wire format by the numbers of the fields: for files of which a few are wanted, without a schema.

What is read may have been written by a stranger: every length is checked, and the fields are counted.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Self

MOST_FIELDS = 5_000_000
"""Of all messages that are read of a file: one with more is made to keep its reader busy."""
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_FIXED = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_LONGEST_VARINT = 10


class Message:
    """One message; those within it are read when they are asked for."""

    def __init__(self, content: bytes | memoryview, budget: list[int] | None = None) -> None:
        """Reads the fields.

        Args:
            content: The message's bytes.
            budget: How many fields may still be read of the file that they are from, its only element.

        Raises:
            ValueError: If the bytes are no message, or there are too many fields.
        """
        self._content = memoryview(content)
        self._budget = [MOST_FIELDS] if budget is None else budget
        self._wholes: defaultdict[int, list[int]] = defaultdict(list)
        self._bytes: defaultdict[int, list[memoryview]] = defaultdict(list)
        at = 0
        while at < len(self._content):
            at = self._field(at)

    def messages(self, number: int) -> list[Self]:
        """The messages in the fields of a number."""
        return [type(self)(content, self._budget) for content in self._bytes[number]]

    def texts(self, number: int) -> list[str]:
        """The strings in the fields of a number."""
        return [str(content, "utf-8") for content in self._bytes[number]]

    def bytes(self, number: int) -> memoryview:
        """The bytes in the last field of a number; none if there is no such field."""
        return self._bytes[number][-1] if self._bytes[number] else memoryview(b"")

    def text(self, number: int) -> str:
        """The string in the last field of a number; empty if there is no such field."""
        return str(self.bytes(number), "utf-8")

    def wholes(self, number: int) -> list[int]:
        """All whole numbers in the fields of a number, one by one or packed; of 64 bits, with a sign."""
        found = list(self._wholes[number])
        for packed in self._bytes[number]:
            at = 0
            while at < len(packed):
                value, at = self._varint(packed, at)
                found.append(value)
        return [value - (1 << 64) if value >> 63 else value for value in found]

    def whole(self, number: int) -> int:
        """The whole number in the last field of a number; 0 if there is no such field."""
        return (self.wholes(number) or [0])[-1]

    def __contains__(self, number: int) -> bool:
        """Whether there is a field of a number."""
        return bool(self._wholes[number] or self._bytes[number])

    def _field(self, at: int) -> int:
        key, at = self._varint(self._content, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = self._varint(self._content, at)
            self._wholes[number].append(value)
            return at
        if kind == _LENGTH:
            length, at = self._varint(self._content, at)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError(f"it has a field of kind {kind}")
        end = at + length
        if end > len(self._content):
            raise ValueError("it ends too early")
        self._bytes[number].append(self._content[at:end])
        return end

    def _varint(self, content: memoryview, at: int) -> tuple[int, int]:
        self._budget[0] -= 1  # one a field at least
        if self._budget[0] < 0:
            raise ValueError(f"it has more than {MOST_FIELDS} numbers and fields")
        value = 0
        for index, byte in enumerate(content[at : at + _LONGEST_VARINT]):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value & ((1 << 64) - 1), at + index + 1
        raise ValueError("it has a number that does not end")


def packed(number: int, content: bytes) -> bytes:
    """A field with bytes, as it is written."""
    return _packed_varint(number << 3 | _LENGTH) + _packed_varint(len(content)) + content


def _packed_varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
