"""What is in the members of a zip, unpacked piece by piece: never more of it at once than is asked for.

`zipfile` gives all that a piece of bzip2 or LZMA becomes, and 40 bytes of bzip2 may become 46 MB. So these two are
unpacked here.
"""

from __future__ import annotations

import bz2
import copy
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Protocol

from ser.errors import ArchiveError, LimitError
from ser.storage.archive_members import Member

NO_ZIP = (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error)
"""What `zipfile` raises of what is no zip, besides what it means to raise."""
_DAMAGED = (*NO_ZIP, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
_CHUNK_BYTES = 1 << 20
_MAX_DICTIONARY_BYTES = 64 << 20  # of LZMA; packers take 16 MiB by default, and whoever unpacks may need all of it
_LZMA_HEADER = struct.Struct("<2sHBL")  # a version, the length of what follows, how, and the size of the dictionary


def content(archive: zipfile.ZipFile, member: Member) -> Iterator[bytes]:
    """The content of a file.

    Raises:
        ArchiveError: If it is damaged, or not as long as the zip says.
    """
    done = 0
    try:
        pieces = _unpacked(archive, member.info) if _is_ours(member.info) else _by_zipfile(archive, member.info)
        for piece in pieces:
            done += len(piece)
            yield piece
    except OSError as error:
        if error.errno is not None:  # else it is how bz2 says that data are damaged
            raise
        raise _damaged(member, error) from error
    except _DAMAGED as error:
        raise _damaged(member, error) from error
    if done != member.info.file_size:
        raise _damaged(member, f"expected {member.info.file_size} bytes, got {done}")


def check_memory(archive: zipfile.ZipFile, member: Member) -> None:
    """Refuses a file that takes more memory to unpack than packers ask for.

    Raises:
        ArchiveError: If it is damaged where it says so.
        LimitError: If it does.
    """
    if member.info.compress_type != zipfile.ZIP_LZMA:
        return
    try:
        with _packed(archive, member.info) as packed:
            _, _, _, size = _lzma_header(packed)
    except _DAMAGED as error:
        raise _damaged(member, error) from error
    if size > _MAX_DICTIONARY_BYTES:
        raise LimitError(
            f"{member.shown} needs a dictionary of more than {_MAX_DICTIONARY_BYTES >> 20} MiB to be unpacked; "
            "nothing was unpacked"
        )


def _damaged(member: Member, reason: object) -> ArchiveError:
    return ArchiveError(f"{member.shown} cannot be unpacked: {str(reason) or type(reason).__name__}")


def _is_ours(info: zipfile.ZipInfo) -> bool:
    return info.compress_type in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def _by_zipfile(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    # It never gives more than the declared size, and compares the checksum at the end.
    with archive.open(info) as file:
        while piece := file.read(_CHUNK_BYTES):
            yield piece


class _Unpacker(Protocol):
    @property
    def needs_input(self) -> bool: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    left, checksum = info.file_size, 0
    with _packed(archive, info) as packed:
        unpacker: _Unpacker = bz2.BZ2Decompressor() if info.compress_type == zipfile.ZIP_BZIP2 else _lzma(packed)
        while left and not unpacker.eof:
            read = packed.read(_CHUNK_BYTES) if unpacker.needs_input else b""
            piece = unpacker.decompress(read, min(left, _CHUNK_BYTES))
            if not piece and not read and unpacker.needs_input:
                break
            left -= len(piece)
            checksum = zlib.crc32(piece, checksum)
            yield piece
    if checksum != info.CRC:
        raise zipfile.BadZipFile("Bad CRC-32")


def _packed(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """The bytes of a member as they lie in the zip."""
    stored = copy.copy(info)
    stored.compress_type, stored.file_size = zipfile.ZIP_STORED, info.compress_size
    del stored.CRC  # that of the content
    return archive.open(stored)


def _lzma(packed: IO[bytes]) -> lzma.LZMADecompressor:
    _, length, how, dictionary = _lzma_header(packed)
    packed.read(length - 5)
    rest, literal_context = divmod(how, 9)
    position, literal_position = divmod(rest, 5)
    settings = {"lc": literal_context, "lp": literal_position, "pb": position, "dict_size": dictionary}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, **settings}])


def _lzma_header(packed: IO[bytes]) -> tuple[bytes, int, int, int]:
    version, length, how, dictionary = _LZMA_HEADER.unpack(packed.read(_LZMA_HEADER.size))
    if length < 5:
        raise EOFError("the settings of LZMA are cut short")
    return version, length, how, dictionary
