"""Reading a FlatBuffer that a stranger may have written: every offset is held against the size before it is followed.

The readers that FlatBuffers generate for Python follow negative offsets (Python counts those from the end), and the
C++ ones follow any.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_LONGEST_STRING = 1 << 16
_U16, _I32, _U32 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Table:
    """A table; its fields go by their number in the schema, from 0. Methods raise ValueError of a wrong offset."""

    content: bytes
    start: int
    size: int
    slots: int
    """Where the fields' offsets lie."""
    count: int
    """How many fields may be there."""

    @classmethod
    def root(cls, content: bytes, identifier: bytes) -> Table:
        """The outermost table of a file with this identifier."""
        if content[4:8] != identifier:
            raise ValueError(f"expected the identifier {identifier!r}, got {content[4:8]!r}")
        return cls.at(content, _read(_U32, content, 0))

    @classmethod
    def at(cls, content: bytes, start: int) -> Table:
        """The table that begins at a place."""
        shape = start - _read(_I32, content, start)
        length, size = _read(_U16, content, shape), _read(_U16, content, shape + 2)
        if length < 4 or length % 2 or shape + length > len(content) or size < 4 or start + size > len(content):
            raise ValueError("a table leads out of the file")
        return cls(content, start, size, shape + 4, (length - 4) // 2)

    def place(self, number: int, width: int) -> int | None:
        """Where a field of this many bytes lies; None if it is not set."""
        if number >= self.count:
            return None
        offset = _U16.unpack_from(self.content, self.slots + 2 * number)[0]
        if not offset:
            return None
        if offset < 4 or offset + width > self.size:
            raise ValueError("a field lies outside its table")
        return self.start + int(offset)

    def number(self, number: int, form: struct.Struct, default: int = 0) -> int:
        """The value of a whole number."""
        place = self.place(number, form.size)
        return default if place is None else int(form.unpack_from(self.content, place)[0])

    def has(self, number: int) -> bool:
        """Whether a field is set."""
        return self.place(number, 1) is not None

    def table(self, number: int) -> Table | None:
        """The table that a field leads to."""
        place = self.place(number, 4)
        return None if place is None else Table.at(self.content, self._follow(place))

    def vector(self, number: int, width: int) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many there are; each has this many bytes. 0 of none."""
        place = self.place(number, 4)
        if place is None:
            return 0, 0
        start = self._follow(place)
        count = _read(_U32, self.content, start)
        if start + 4 + count * width > len(self.content):
            raise ValueError("a vector is longer than the file")
        return start + 4, count

    def whole_numbers(self, number: int, at_most: int) -> tuple[int, ...]:
        """A vector of int32."""
        start, count = self.vector(number, 4)
        if count > at_most:
            raise ValueError(f"expected at most {at_most} numbers, got {count}")
        return struct.unpack_from(f"<{count}i", self.content, start)

    def tables(self, number: int, at_most: int) -> list[Table]:
        """A vector of tables."""
        start, count = self.vector(number, 4)
        if count > at_most:
            raise ValueError(f"expected at most {at_most} tables, got {count}")
        return [Table.at(self.content, self._follow(start + 4 * index)) for index in range(count)]

    def check_string(self, number: int) -> None:
        """Follows a string: UTF-8, with a zero byte behind it."""
        start, count = self.vector(number, 1)
        if count > _LONGEST_STRING or (start and self.content[start + count : start + count + 1] != b"\0"):
            raise ValueError("a string has no end")
        self.content[start : start + count].decode()

    def _follow(self, place: int) -> int:
        return place + int(_read(_U32, self.content, place))


def _read(form: struct.Struct, content: bytes, place: int) -> int:
    if not 0 <= place <= len(content) - form.size:
        raise ValueError("an offset leads out of the file")
    return int(form.unpack_from(content, place)[0])
