"""Corpus zips: names, sizes, offsets and methods that no packer writes, then any bytes changed."""

from __future__ import annotations

import io
import random
import shutil
import stat
import struct
import warnings
import zipfile
from pathlib import Path

from benchmarks.fuzz.mutation import mutate, number
from benchmarks.fuzz.parser import Parser, Surroundings, expect
from ser.progress import silent
from ser.storage import archive as archives
from ser.storage.archive import Limits

_NAMES = (
    "wav/03a01Fa.wav", "wav/03a01Nc.wav", "wav/", "a", "a/", "a/b", "A", "./a", "a//b", "a/./b", "../x", "/x", "C:/x",
    "C:x", "a\\b", "..\\x", "a/../b", ".", "./", "", "/", "//", " ", "a ", "a.", "a\x00b", "\x00", "\n", "\x7f", "é",
    "e\u0301", "\u202egpj", "a" * 255, "a" * 300, "é" * 200, "/".join("a" * 2_000), "a/" * 2_000 + "b", "a/" * 500,
    "b/".join("a" * 250), ".hidden", "~", "con", "nul.wav", "-rf", "*", "a:b", "labels.csv", "\ud800", "ﬁ", "..", "...",
)  # fmt: skip
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_FIELDS = {
    b"PK\x01\x02": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2),
                    (34, 2), (38, 4), (42, 4)),
    b"PK\x03\x04": ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\x05\x06": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}  # fmt: skip
"""Offset and width of the fields of a record, by its signature."""
_LIMITS = Limits(max_download_bytes=1 << 20, max_unpacked_bytes=4 << 20, max_files=1_000)


def archive(around: Surroundings) -> Parser:
    """`ser.storage.archive`: nothing is written outside the folder, no links, every byte that was declared."""
    path, folder = around.scratch / "corpus.zip", around.scratch / "unpacked"

    def make(rng: random.Random) -> bytes:
        data = bytearray(_zip(rng))
        for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
            _change_field(rng, data)
        return mutate(rng, [bytes(data)]) if rng.random() < 0.4 else bytes(data)

    def take(data: bytes) -> None:
        path.write_bytes(data)
        _empty(folder)
        archives.check(path, _LIMITS)
        archives.unpack(path, folder, _LIMITS, silent)
        with zipfile.ZipFile(path) as opened:
            members = [member for member in opened.infolist() if not _is_folder(member)]
        files = [found for found in folder.rglob("*") if not found.is_dir()]
        expect(not any(found.is_symlink() for found in files), "no links")
        expect(len(files) == len(members), f"a file a member, got {len(files)} of {len(members)}")
        declared, got = sum(m.file_size for m in members), sum(found.stat().st_size for found in files)
        expect(declared == got, f"as many bytes as declared, got {got} of {declared}")
        around_it = {found.name for found in around.scratch.iterdir()}
        expect(around_it <= {path.name, folder.name}, f"nothing beside the folder, got {around_it}")

    return Parser(make, take)


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.is_dir() or stat.S_ISDIR(member.external_attr >> 16)


def _empty(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()


def _zip(rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as writer:
        warnings.simplefilter("ignore")  # of names that come twice
        for _ in range(rng.choice((1, 1, 2, 2, 3, 5))):
            member = zipfile.ZipInfo("x")
            member.filename = rng.choice(_NAMES[:2]) if rng.random() < 0.5 else rng.choice(_NAMES)
            member.external_attr = rng.choice((0o644, 0o644, 0, 0o40755, 0o120777, 0o10644, 0o20644, 0o100000)) << 16
            member.compress_type = rng.choice(_METHODS)
            content = b"" if rng.random() < 0.1 else bytes(rng.choices(b"ab\x00", k=rng.choice((1, 40, 700))))
            try:
                writer.writestr(member, content)
            except UnicodeEncodeError:
                member.filename = "surrogate"
                writer.writestr(member, content)
        writer.comment = rng.choice((b"", b"", b"", b"PK\x05\x06", b"x" * 100))
    return buffer.getvalue()


def _change_field(rng: random.Random, data: bytearray) -> None:
    signature = rng.choice(list(_FIELDS))
    places = [at for at in range(len(data) - 3) if data[at : at + 4] == signature]
    if not places:
        return
    offset, width = rng.choice(_FIELDS[signature])
    at = rng.choice(places) + offset
    if at + width > len(data):
        return
    code = {2: "<H", 4: "<I"}[width]
    (value,) = struct.unpack_from(code, data, at)
    other = rng.choice((value + 1, value - 1, value ^ 1, value ^ 0x800, number(rng, width), number(rng, width)))
    struct.pack_into(code, data, at, other & ((1 << 8 * width) - 1))
