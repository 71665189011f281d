"""Corpus zips: checked before anything is written, then unpacked inside one folder; and made of a folder."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ser.errors import ArchiveError, LimitError
from ser.progress import Progress, Reporter

_ENCRYPTED = 0x1
_OLDEST = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can tell


@dataclass(frozen=True)
class Limits:
    """How much a corpus may be."""

    max_download_bytes: int = 16 << 30
    """Size of the zip, of several together."""
    max_unpacked_bytes: int = 32 << 30
    """Size of all members, unpacked."""
    max_files: int = 2_000_000
    """Number of members."""


def check(path: Path, limits: Limits, *, name: str | None = None) -> None:
    """Refuses a file that is not a zip, or whose members must not be unpacked.

    Args:
        path: The file.
        limits: Unpacked size and number of members allowed.
        name: What to call it in errors, by default its path.

    Raises:
        ArchiveError: If it is no zip, damaged, or has a member that is absolute, leaves the folder, is a
            link or another special file, is encrypted, or comes twice.
        LimitError: If it has too many members, or they are too large.
    """
    name = name or str(path)
    with _open(path, name) as archive:
        _check_members(archive.infolist(), limits, name)


def unpack(path: Path, folder: Path, limits: Limits, report: Reporter) -> Limits:
    """Unpacks a zip into an existing folder, after `check`.

    Returns:
        What is left of the limits for the next.

    Raises:
        ArchiveError: As `check`, and if a member's content is damaged.
        LimitError: As `check`.
    """
    with _open(path, str(path)) as archive:
        members = archive.infolist()
        _check_members(members, limits, str(path))
        for done, member in enumerate(members, start=1):
            try:
                # zipfile never writes more than the declared size, and compares the checksum at the end.
                archive.extract(member, folder)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
                raise ArchiveError(f"{path}: {member.filename!r} cannot be unpacked: {error}") from error
            report(Progress("extract", done, len(members), "files"))
    unpacked = sum(member.file_size for member in members)
    return replace(
        limits,
        max_unpacked_bytes=limits.max_unpacked_bytes - unpacked,
        max_files=limits.max_files - len(members),
    )


def pack(files: Mapping[str, Path], path: Path, report: Reporter) -> None:
    """Writes files into a new zip, uncompressed, under their names; the same content gives the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for done, (name, source) in enumerate(sorted(files.items()), start=1):
            member = zipfile.ZipInfo(name, date_time=_OLDEST)
            member.external_attr = 0o644 << 16
            member.file_size = source.stat().st_size
            with source.open("rb") as content, archive.open(member, "w") as packed:
                shutil.copyfileobj(content, packed, 1 << 20)
            report(Progress("download", done, len(files), "files"))


def _open(path: Path, name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ArchiveError(f"{name}: expected a zip, got something else or a part of one: {error}") from error


def _check_members(members: list[zipfile.ZipInfo], limits: Limits, name: str) -> None:
    if len(members) > limits.max_files:
        raise LimitError(f"{name}: expected at most {limits.max_files} files, got {len(members)}")
    unpacked = sum(member.file_size for member in members)
    if unpacked > limits.max_unpacked_bytes:
        raise LimitError(f"{name}: expected at most {limits.max_unpacked_bytes} bytes unpacked, got {unpacked}")
    seen: set[str] = set()
    for member in members:
        problem = _problem(member)
        if problem is None and member.filename in seen:
            problem = "comes twice"
        if problem is not None:
            raise ArchiveError(f"{name}: {member.filename!r} {problem}; nothing was unpacked")
        seen.add(member.filename)


def _problem(member: zipfile.ZipInfo) -> str | None:
    """Why a member must not be unpacked, or None."""
    # orig_filename is what the zip says: zipfile cuts filename at NUL and turns backslashes round.
    path = PurePosixPath(member.orig_filename.replace("\\", "/"))
    if path.is_absolute() or ":" in (path.parts[0] if path.parts else ""):
        return "is an absolute path"
    if ".." in path.parts:
        return "leaves the folder"
    if "\0" in member.orig_filename or not path.parts:
        return "is not a file name"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or another special file"
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted"
    return None
