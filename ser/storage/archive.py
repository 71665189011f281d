"""Corpus zips: checked before anything is written, then unpacked inside one folder; and made of a folder."""

from __future__ import annotations

import contextlib
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ser.errors import ArchiveError, LimitError
from ser.progress import Progress, Reporter
from ser.storage.archive_content import NO_ZIP, check_memory, content
from ser.storage.archive_members import Member, ZipBytes, checked_members, shown

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
            link or another special file, is encrypted, comes twice, or has a name that disks do not take.
        LimitError: If it has too many members, or they are too large.
    """
    with _open(path, limits, name or str(path)):
        pass


def unpack(path: Path, folder: Path, limits: Limits, report: Reporter) -> Limits:
    """Unpacks a zip into an existing, empty folder, after `check`.

    Returns:
        What is left of the limits for the next.

    Raises:
        ArchiveError: As `check`, and if a member's content is damaged.
        LimitError: As `check`.
    """
    with _open(path, limits, str(path)) as (archive, members):
        for done, member in enumerate(members, start=1):
            try:
                _extract(archive, member, folder)
            except FileExistsError:
                # Of names that are not the same, as `A.wav` and `a.wav`: a disk that does not tell them apart.
                raise ArchiveError(f"{member.shown} has the name of another member, on this disk") from None
            report(Progress("extract", done, len(members), "files"))
    unpacked = sum(member.info.file_size for member in members)
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
            with source.open("rb") as file, archive.open(member, "w") as packed:
                shutil.copyfileobj(file, packed, 1 << 20)
            report(Progress("download", done, len(files), "files"))


@contextlib.contextmanager
def _open(path: Path, limits: Limits, name: str) -> Iterator[tuple[zipfile.ZipFile, list[Member]]]:
    """A zip and its members, none of which is dangerous; errors inside have the zip's name in front."""
    try:
        with ZipBytes(path, limits.max_files) as file, _zip(file) as archive:
            members = checked_members(archive, limits.max_unpacked_bytes, limits.max_files)
            for member in members:
                check_memory(archive, member)
            yield archive, members
    except (ArchiveError, LimitError) as error:
        raise type(error)(f"{name}: {error}") from error.__cause__


def _zip(file: ZipBytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except UnicodeDecodeError as error:
        name = shown(error.object.decode(errors="replace"))
        raise ArchiveError(f"expected names in UTF-8, as the zip says that they are, got {name}") from error
    except NO_ZIP as error:
        raise ArchiveError(f"expected a zip, got something else or a part of one: {error}") from error


def _extract(archive: zipfile.ZipFile, member: Member, folder: Path) -> None:
    target = folder / member.path
    if member.is_folder:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        for chunk in content(archive, member):
            file.write(chunk)
