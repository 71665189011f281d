"""Mutations of bytes, none of which knows what the bytes mean; all follow from the generator's state."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

BYTES = (0, 1, 2, 9, 10, 13, 32, 34, 47, 127, 128, 254, 255)
NUMBERS = (
    0, 1, 2, 3, 15, 16, 127, 128, 255, 256, 4_095, 32_767, 32_768, 65_535, 65_536, 1 << 24, (1 << 31) - 1, 1 << 31,
    (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
)  # fmt: skip
"""Where the arithmetic of parsers goes wrong."""
_EDGE_BYTES = 160
"""Headers lie at the start, directories of zips at the end: half of all changes are made there."""
_LONGEST = 1 << 20

Mutation = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def mutate(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, changed in one to eight ways; one in a hundred stays as it is.

    Args:
        rng: The generator.
        seeds: Inputs that are right, or nearly.
    """
    data = bytearray(rng.choice(seeds))
    if rng.random() < 0.01:
        return bytes(data)
    for _ in range(min(8, 1 + int(rng.expovariate(0.7)))):
        rng.choice(_MUTATIONS)(rng, data, seeds)
        if not data:
            break
    return bytes(data[:_LONGEST])


def position(rng: random.Random, data: Sequence[int], width: int = 1) -> int:
    """Where to change something that is `width` bytes wide; -1 if the data are shorter."""
    room = len(data) - width
    if room < 0:
        return -1
    match rng.randrange(4):
        case 0:
            return rng.randint(0, min(room, _EDGE_BYTES))
        case 1:
            return rng.randint(max(0, room - _EDGE_BYTES), room)
        case _:
            return rng.randint(0, room)


def number(rng: random.Random, width: int) -> int:
    """A number of so many bytes that parsers stumble over."""
    return rng.choice(NUMBERS) & ((1 << 8 * width) - 1)


def _block(rng: random.Random, data: bytearray) -> tuple[int, int]:
    start = max(0, position(rng, data))
    return start, min(len(data), start + 1 + int(rng.expovariate(1 / 40)))


def _flip_bit(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if (at := position(rng, data)) >= 0:
        data[at] ^= 1 << rng.randrange(8)


def _set_byte(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if (at := position(rng, data)) >= 0:
        data[at] = rng.choice(BYTES)


def _set_number(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    width = rng.choice((2, 4, 8))
    if (at := position(rng, data, width)) >= 0:
        data[at : at + width] = number(rng, width).to_bytes(width, rng.choice(("little", "big")))


def _change_length(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """Something that may be a length, because it is a number no greater than the whole, becomes another."""
    del seeds
    code, width = rng.choice((("<I", 4), (">I", 4), ("<H", 2), (">H", 2)))
    for _ in range(8):
        at = position(rng, data, width)
        if at < 0:
            return
        (value,) = struct.unpack_from(code, data, at)
        if 0 < value <= len(data):
            other = rng.choice((value + 1, value - 1, value * 2, value // 2, 0, len(data), len(data) - at, value + 4))
            struct.pack_into(code, data, at, other & ((1 << 8 * width) - 1))
            return


def _delete(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start, stop = _block(rng, data)
    del data[start:stop]


def _duplicate(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start, stop = _block(rng, data)
    data[start:start] = data[start:stop] * rng.choice((1, 1, 1, 2, 50))


def _insert(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = max(0, position(rng, data))
    data[at:at] = rng.randbytes(1 + int(rng.expovariate(1 / 8)))


def _splice(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    other = rng.choice(seeds)
    at = max(0, position(rng, data))
    data[at:] = other[max(0, position(rng, other)) :]


def _borrow(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    other = bytearray(rng.choice(seeds))
    start, stop = _block(rng, other)
    at = max(0, position(rng, data))
    data[at : at + stop - start] = other[start:stop]


def _truncate(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[max(0, position(rng, data)) :]


_MUTATIONS: Sequence[Mutation] = (
    _flip_bit, _flip_bit, _set_byte, _set_byte, _set_number, _set_number, _change_length, _change_length, _delete,
    _duplicate, _insert, _splice, _borrow, _truncate,
)  # fmt: skip
