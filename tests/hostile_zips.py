"""Zips as no honest packer writes them: every field of theirs can be made to lie."""

from __future__ import annotations

import bz2
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

UTF8 = 0x800
CONTENT = b"RIFF, as it were; " * 20


@dataclass(frozen=True)
class Entry:
    """A member: what is in it, and what its two headers say. What is None is told truly."""

    name: bytes = b"wav/a.wav"
    content: bytes = CONTENT
    method: int = zipfile.ZIP_STORED
    packed: bytes | None = None
    """The bytes in the zip."""
    flags: int = UTF8
    mode: int = 0
    """Of Unix, with the kind of file."""
    crc: int | None = None
    compress_size: int | None = None
    file_size: int | None = None
    offset: int | None = None
    version: int = 45
    extra: bytes = b""
    """In the directory."""
    local_name: bytes | None = None

    def local(self) -> bytes:
        """Header and content."""
        name = self.name if self.local_name is None else self.local_name
        return b"PK\x03\x04" + self._facts() + struct.pack("<2H", len(name), 0) + name + self._packed()

    def listed(self, place: int) -> bytes:
        """The entry in the directory."""
        offset = place if self.offset is None else self.offset
        lengths = struct.pack("<3H", len(self.name), len(self.extra), 0)
        rest = struct.pack("<2H2L", 0, 0, self.mode << 16, offset)
        return b"PK\x01\x02" + struct.pack("<H", 3 << 8 | 45) + self._facts() + lengths + rest + self.name + self.extra

    def _packed(self) -> bytes:
        return packed(self.method, self.content) if self.packed is None else self.packed

    def _facts(self) -> bytes:
        crc = zlib.crc32(self.content) if self.crc is None else self.crc
        compress_size = len(self._packed()) if self.compress_size is None else self.compress_size
        file_size = len(self.content) if self.file_size is None else self.file_size
        return struct.pack("<5H3L", self.version, self.flags, self.method, 0, 33, crc, compress_size, file_size)


def packed(method: int, content: bytes) -> bytes:
    """Content by a method of zips."""
    match method:
        case zipfile.ZIP_DEFLATED:
            squeeze = zlib.compressobj(wbits=-15)
            return squeeze.compress(content) + squeeze.flush()
        case zipfile.ZIP_BZIP2:
            return bz2.compress(content)
        case zipfile.ZIP_LZMA:
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
                archive.writestr("x", content)
                size = archive.getinfo("x").compress_size
            return file.getvalue()[31 : 31 + size]
        case _:
            return content


def raw_zip(*entries: Entry, tail: Mapping[str, int] | None = None) -> bytes:
    """A zip of entries.

    Args:
        entries: The members.
        tail: What the end of the directory says instead: count, size, offset.
    """
    body, directory = b"", b""
    for entry in entries:
        directory += entry.listed(len(body))
        body += entry.local()
    end = {"count": len(entries), "size": len(directory), "offset": len(body), **(tail or {})}
    closing = struct.pack("<4H2LH", 0, 0, end["count"], end["count"], end["size"], end["offset"], 0)
    return body + directory + b"PK\x05\x06" + closing


def named(*names: str) -> bytes:
    """A zip of members with these names; a folder's ends with a slash."""
    return raw_zip(*(Entry(name.encode(), b"" if name.endswith("/") else CONTENT) for name in names))


def damaged(method: int, *, at: int = 20) -> bytes:
    """A zip whose one member is altered in the middle."""
    whole = packed(method, CONTENT)
    return raw_zip(Entry(method=method, packed=whole[:at] + bytes([whole[at] ^ 0xFF]) * 6 + whole[at + 6 :]))


def cut_short(method: int) -> bytes:
    """A zip whose one member ends in the middle."""
    return raw_zip(Entry(method=method, packed=packed(method, CONTENT)[:-12]))


def dictionary(size: int) -> bytes:
    """A zip whose one member, by LZMA, says that it needs a dictionary of some bytes."""
    whole = packed(zipfile.ZIP_LZMA, CONTENT)
    return raw_zip(Entry(method=zipfile.ZIP_LZMA, packed=whole[:5] + struct.pack("<L", size) + whole[9:]))


def zip64(sizes: bytes) -> bytes:
    """A zip whose one member leaves its sizes to a field of zip64."""
    extra = struct.pack("<2H", 1, len(sizes)) + sizes
    entry = Entry()
    lying = replace(entry, compress_size=0xFFFFFFFF, file_size=0xFFFFFFFF, extra=extra)
    directory = lying.listed(0)
    body = entry.local()
    return body + directory + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, len(directory), len(body), 0)


GOOD = Entry(b"wav/b.wav")
_TEN = Entry(content=b"0123456789")


@dataclass(frozen=True)
class Hostile:
    """A zip, what is to be said of it, and one that differs by little and is well."""

    make: Callable[[], bytes]
    words: str
    """A pattern of the message."""
    neighbour: Callable[[], bytes] | None = None
    files: Sequence[str] = field(default=())
    """What the neighbour unpacks to, if it matters."""


HOSTILE: Mapping[str, Hostile] = {
    # Names
    "leaves the folder": Hostile(lambda: named("../a.wav"), "'../a.wav' leaves the folder", lambda: named("..a.wav")),
    "leaves it on the way": Hostile(lambda: named("wav/../../a.wav"), "leaves the folder"),
    "leaves it by backslashes": Hostile(
        lambda: named("wav\\..\\..\\a.wav"), "leaves the folder", lambda: named("wav\\x\\a.wav"), ["wav/x/a.wav"]
    ),
    "absolute": Hostile(lambda: named("/etc/a.wav"), "is an absolute path"),
    "absolute by a drive": Hostile(
        lambda: named("C:\\a.wav"), "is an absolute path", lambda: named("at 12:30.wav"), ["at 12:30.wav"]
    ),
    "a drive behind a dot": Hostile(lambda: named("./C:/a.wav"), "is an absolute path"),
    "a network share": Hostile(lambda: named("\\\\host\\a.wav"), "is an absolute path"),
    "no name": Hostile(lambda: named(""), "is not a file name"),
    "a name of dots": Hostile(lambda: named("./."), "is not a file name"),
    "NUL": Hostile(lambda: named("wav/a.wav\0.txt"), "is not a file name"),
    "a line's end": Hostile(lambda: named("wav/a\n.wav"), "is not a file name", lambda: named("wav/a .wav")),
    "an escape": Hostile(lambda: named("wav/\x1b[2J.wav"), "is not a file name"),
    "a control character of Latin 1": Hostile(lambda: named("wav/\x9b.wav"), "is not a file name"),
    "no UTF-8": Hostile(
        lambda: raw_zip(Entry(b"wav/\xff\xfe.wav")),
        "expected names in UTF-8, .*wav/",
        lambda: raw_zip(Entry(b"wav/\xff\xfe.wav", flags=0)),
    ),
    "a surrogate": Hostile(
        lambda: raw_zip(Entry("wav/\ud800.wav".encode(errors="surrogatepass"))), "expected names in UTF-8"
    ),
    "300 bytes": Hostile(
        lambda: named(f"wav/{'a' * 296}.wav"), "has a name of more than 255 bytes", lambda: named("a" * 255)
    ),
    "300 bytes of 100 letters": Hostile(lambda: named("語" * 100), "has a name of more than 255 bytes"),
    "a folder of 300 bytes": Hostile(lambda: named(f"{'a' * 300}/a.wav"), "has a name of more than 255 bytes"),
    "5,000 characters": Hostile(
        lambda: named("/".join(["a" * 99] * 50)),
        r"\(cut: 4999 characters\) has a path of more than 1000 bytes",
        lambda: named("/".join([*["a" * 99] * 9, "a" * 100])),
    ),
    "2,000 folders deep": Hostile(lambda: named("a/" * 2_000 + "a.wav"), "has a path of more than 1000 bytes"),
    "65 folders deep": Hostile(
        lambda: named("a/" * 64 + "a.wav"), "more than 64 folders deep", lambda: named("a/" * 63 + "a.wav")
    ),
    # Names that meet
    "twice": Hostile(lambda: named("a.wav", "a.wav"), "'a.wav' comes twice", lambda: named("a.wav", "A.wav")),
    "twice, once behind a dot": Hostile(lambda: named("a.wav", "./a.wav"), "'./a.wav' comes twice"),
    "twice, once with two slashes": Hostile(lambda: named("x/a.wav", "x//a.wav"), "'x//a.wav' comes twice"),
    "twice, once with a backslash": Hostile(lambda: named("x/a.wav", "x\\a.wav"), "comes twice"),
    "a file and a folder": Hostile(
        lambda: named("x", "x/"), "'x' is a file and a folder at once", lambda: named("x/", "x//")
    ),
    "a file and the folder of another": Hostile(
        lambda: named("x/a.wav", "x"), "'x' is a file and a folder at once", lambda: named("x/", "x/a.wav")
    ),
    "a file and a folder far above": Hostile(
        lambda: named("x", "./x/y/z/a.wav"), "'x' is a file and a folder at once", lambda: named("y", "x/y/z/a.wav")
    ),
    # What is in them
    "a link": Hostile(
        lambda: raw_zip(Entry(mode=stat.S_IFLNK | 0o777)),
        "is a link or another special file",
        lambda: raw_zip(Entry(mode=stat.S_IFREG | 0o4777)),
    ),
    "a device": Hostile(lambda: raw_zip(Entry(mode=stat.S_IFCHR | 0o666)), "is a link or another special file"),
    "a pipe": Hostile(lambda: raw_zip(Entry(mode=stat.S_IFIFO | 0o666)), "is a link or another special file"),
    "a link that is called a folder": Hostile(
        lambda: raw_zip(Entry(b"x/", b"", mode=stat.S_IFLNK | 0o777)),
        "is a link or another special file",
        lambda: raw_zip(Entry(b"x", b"", mode=stat.S_IFDIR | 0o755), Entry(b"x/a.wav")),
        ["x/a.wav"],
    ),
    "encrypted": Hostile(lambda: raw_zip(Entry(flags=UTF8 | 1)), "is encrypted"),
    "encrypted strongly": Hostile(lambda: raw_zip(Entry(flags=UTF8 | 0x40)), "is encrypted"),
    "headers encrypted": Hostile(lambda: raw_zip(Entry(flags=UTF8 | 0x2000)), "is encrypted"),
    "a patch": Hostile(lambda: raw_zip(Entry(flags=UTF8 | 0x20)), "a method that is not known here"),
    "a method that nobody has": Hostile(
        lambda: raw_zip(Entry(method=77)), r"a method that is not known here \(77\); known: stored, deflate, bzip2"
    ),
    "Zstandard": Hostile(lambda: raw_zip(Entry(method=93)), r"not known here \(93\)"),
    "a version of tomorrow": Hostile(lambda: raw_zip(Entry(version=99)), "expected a zip, .*version 9.9"),
    **{
        f"{name}, {what}": Hostile(
            lambda method=method, make=make: make(method),  # type: ignore[misc]
            "'wav/a.wav' cannot be unpacked: ",
            lambda method=method: raw_zip(Entry(method=method)),  # type: ignore[misc]
        )
        for name, method in (
            ("deflate", zipfile.ZIP_DEFLATED),
            ("bzip2", zipfile.ZIP_BZIP2),
            ("LZMA", zipfile.ZIP_LZMA),
        )
        for what, make in (("damaged", damaged), ("cut short", cut_short))
    },
    "bzip2 from its first byte": Hostile(lambda: damaged(zipfile.ZIP_BZIP2, at=0), "cannot be unpacked"),
    "LZMA whose settings are none": Hostile(lambda: damaged(zipfile.ZIP_LZMA, at=2), "cannot be unpacked|dictionary"),
    "LZMA that is nothing": Hostile(
        lambda: raw_zip(Entry(method=zipfile.ZIP_LZMA, packed=b"")), "'wav/a.wav' cannot be unpacked"
    ),
    "LZMA with 4 GiB of dictionary": Hostile(
        lambda: dictionary(0xFFFFFFFF),
        "'wav/a.wav' needs a dictionary of more than 64 MiB",
        lambda: dictionary(64 << 20),
    ),
    "a wrong checksum": Hostile(lambda: raw_zip(Entry(crc=1)), "cannot be unpacked: Bad CRC-32"),
    # Sizes and places that lie
    "less than it says": Hostile(lambda: raw_zip(replace(_TEN, file_size=11)), "expected 11 bytes, got 10"),
    "more than it says": Hostile(lambda: raw_zip(replace(_TEN, file_size=9)), "cannot be unpacked: Bad CRC-32"),
    "a terabyte in zip64": Hostile(
        lambda: zip64(struct.pack("<2Q", 1 << 40, len(CONTENT))),
        "at most 1000000 bytes unpacked, got 1099511627776",
        lambda: zip64(struct.pack("<2Q", len(CONTENT), len(CONTENT))),
    ),
    "longer than the zip, by zip64": Hostile(
        lambda: zip64(struct.pack("<2Q", len(CONTENT), 1 << 63)), "does not lie within the zip"
    ),
    "zip64 that is cut": Hostile(lambda: zip64(b"\0" * 7), "expected a zip, "),
    "zip64 that is empty": Hostile(lambda: zip64(b""), "expected a zip, |bytes unpacked"),
    "longer than the zip": Hostile(lambda: raw_zip(Entry(compress_size=100_000)), "does not lie within the zip"),
    "behind the end": Hostile(lambda: raw_zip(Entry(offset=1 << 30)), "does not lie within the zip"),
    "in the directory": Hostile(lambda: raw_zip(Entry(offset=400)), "does not lie within the zip"),
    "nowhere near a header": Hostile(
        lambda: raw_zip(Entry(), replace(GOOD, offset=405, content=b"")),
        "cannot be unpacked: Bad magic",
    ),
    "the same bytes twice": Hostile(
        lambda: raw_zip(Entry(), replace(GOOD, offset=0)),
        "'wav/b.wav' overlaps with another",
        lambda: raw_zip(Entry(), GOOD),
    ),
    "one in another": Hostile(
        lambda: raw_zip(Entry(content=GOOD.local()), replace(GOOD, offset=39)), "overlaps with another"
    ),
    "another name before the content": Hostile(
        lambda: raw_zip(Entry(local_name=b"wav/z.wav")), "cannot be unpacked: File name in directory"
    ),
    # The directory
    "a directory behind the end": Hostile(
        lambda: raw_zip(Entry(), tail={"offset": 1 << 31}), "does not lie within the zip"
    ),
    "a directory of no size": Hostile(lambda: raw_zip(Entry(), tail={"size": 30}), "expected a zip"),
    "a directory of 4 GiB": Hostile(lambda: raw_zip(Entry(), tail={"size": 0xFFFFFFF0}), "expected a"),
    "nothing": Hostile(lambda: b"", "expected a zip"),
    "a first byte": Hostile(lambda: b"P", "expected a zip"),
    "an end without a beginning": Hostile(lambda: raw_zip(Entry())[-22:], "expected a zip"),
    "too many members": Hostile(lambda: named(*(f"{n}" for n in range(71))), "at most 70 files, got 71"),
    "too many folders": Hostile(
        lambda: named("a/" * 60 + "x", "b/" * 60 + "x"),
        "at most 70 folders, ",
    ),
    "a bomb": Hostile(
        lambda: raw_zip(Entry(content=bytes(1_000_001), method=zipfile.ZIP_DEFLATED)), "at most 1000000 bytes unpacked"
    ),
    "a bomb of which a part is told": Hostile(
        lambda: raw_zip(Entry(content=bytes(30_000_000), method=zipfile.ZIP_BZIP2, file_size=1_000)),
        "cannot be unpacked: Bad CRC-32",
    ),
}
