"""The members of a zip from a stranger: each is looked at before any is unpacked."""

from __future__ import annotations

import io
import re
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.errors import ArchiveError, LimitError

_METHODS = {
    zipfile.ZIP_STORED: "stored",
    zipfile.ZIP_DEFLATED: "deflate",
    zipfile.ZIP_BZIP2: "bzip2",
    zipfile.ZIP_LZMA: "LZMA",
}
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # by the old cipher, by a strong one, and the directory too
_PATCH = 0x20
_LOCAL_HEADER_BYTES = 30
_ENTRY = b"PK\x01\x02"  # what each entry of a zip's directory begins with
_ENTRY_BYTES = 512  # of an entry with a long name, and times and sizes beside it
_MAX_NAME_BYTES = 255  # of one file or folder, as nearly all file systems have it
_MAX_PATH_BYTES = 1_000
_MAX_DEPTH = 64
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SHOWN = 100


@dataclass(frozen=True)
class Member:
    """A file or folder in a zip."""

    info: zipfile.ZipInfo
    path: str
    """Where it goes: relative, with forward slashes, without empty parts and dots."""
    is_folder: bool

    @property
    def shown(self) -> str:
        """What to call it in a message."""
        return shown(self.info.orig_filename)


class ZipBytes(io.FileIO):
    """The file of a zip, of which no directory is read that would fill the memory."""

    def __init__(self, path: Path, max_files: int) -> None:
        """Opens it.

        Args:
            path: The file.
            max_files: Entries that its directory may have.

        Raises:
            OSError: If it cannot be opened.
        """
        super().__init__(path)
        self._max_files = max_files

    def read(self, size: int | None = -1, /) -> bytes:
        """Some bytes; `zipfile` asks for a whole directory at once.

        Raises:
            LimitError: If they are the directory of a zip with too many members.
        """
        most = max(1 << 20, _ENTRY_BYTES * self._max_files)
        if size is not None and size > most:
            raise LimitError(f"expected at most {self._max_files} files, their list alone takes {size} bytes")
        content = super().read(size) or b""
        if len(content) > len(_ENTRY) * self._max_files and (count := content.count(_ENTRY)) > self._max_files:
            raise LimitError(f"expected at most {self._max_files} files, got {count}")
        return content


def checked_members(archive: zipfile.ZipFile, max_unpacked_bytes: int, max_files: int) -> list[Member]:
    """The members of a zip, none of which is dangerous to unpack.

    Raises:
        ArchiveError: If one is.
        LimitError: If there are too many, or they are too large.
    """
    infos = archive.infolist()
    if len(infos) > max_files:
        raise LimitError(f"expected at most {max_files} files, got {len(infos)}")
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max_unpacked_bytes:
        raise LimitError(f"expected at most {max_unpacked_bytes} bytes unpacked, got {unpacked}")
    members = []
    for info in infos:
        members.append(_member(info))
        problem = _path_problem(members[-1].path, info.orig_filename) or _content_problem(members[-1])
        if problem is not None:
            raise ArchiveError(f"{members[-1].shown} {problem}; nothing was unpacked")
    _check_places(archive, infos)
    _check_names(members, max_files)
    return members


def shown(name: str) -> str:
    """A member's name in quotes, cut if it is long."""
    return repr(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!r} (cut: {len(name)} characters)"


def _member(info: zipfile.ZipInfo) -> Member:
    # orig_filename is what the zip says: zipfile cuts filename at NUL. Zips made on Windows may have backslashes.
    name = info.orig_filename.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    is_folder = name.endswith(("/", "/.")) or stat.S_ISDIR(info.external_attr >> 16)
    return Member(info, "/".join(parts), is_folder)


def _path_problem(path: str, original: str) -> str | None:
    """Why there must be no file or folder of this path, or None."""
    parts = path.split("/")
    if original.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", path):
        return "is an absolute path"
    if ".." in parts:
        return "leaves the folder"
    if not path or _UNPRINTABLE.search(path):
        return "is not a file name"
    if max(len(part.encode()) for part in parts) > _MAX_NAME_BYTES:
        return f"has a name of more than {_MAX_NAME_BYTES} bytes"
    if len(path.encode()) > _MAX_PATH_BYTES:
        return f"has a path of more than {_MAX_PATH_BYTES} bytes"
    if len(parts) > _MAX_DEPTH:
        return f"lies more than {_MAX_DEPTH} folders deep"
    return None


def _content_problem(member: Member) -> str | None:
    """Why a member's content must not, or cannot, be unpacked, or None."""
    info = member.info
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or another special file"
    if member.is_folder and info.file_size:
        return f"is a folder with a content of {info.file_size} bytes"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in _METHODS or info.flag_bits & _PATCH:
        known = ", ".join(_METHODS.values())
        return f"is compressed by a method that is not known here ({info.compress_type}); known: {known}"
    return None


def _check_places(archive: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Refuses members that lie outside the file or, as in a bomb that says the same bytes often, in one another."""
    free = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size
        if info.header_offset < 0 or end > archive.start_dir:
            raise ArchiveError(
                f"{shown(info.orig_filename)} does not lie within the zip, of which a part may be missing; "
                "nothing was unpacked"
            )
        if info.header_offset < free:
            raise ArchiveError(f"{shown(info.orig_filename)} overlaps with another; nothing was unpacked")
        free = end


def _check_names(members: Sequence[Member], max_files: int) -> None:
    """Refuses a file that comes twice, or where another member wants a folder."""
    files: set[str] = set()
    folders: set[str] = set()
    for member in members:
        if not member.is_folder:
            if member.path in files:
                raise ArchiveError(f"{member.shown} comes twice; nothing was unpacked")
            files.add(member.path)
        for folder in _folders(member):
            if folder in folders:
                break  # and so are those that it lies in
            folders.add(folder)
        if len(folders) > max_files:
            raise LimitError(f"expected at most {max_files} folders, {member.shown} is in one more")
    for member in members:
        if not member.is_folder and member.path in folders:
            raise ArchiveError(f"{member.shown} is a file and a folder at once; nothing was unpacked")


def _folders(member: Member) -> Iterator[str]:
    """The folders that a member is or lies in, the nearest first."""
    path = member.path
    if member.is_folder:
        yield path
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
