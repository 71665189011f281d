"""A corpus on this machine."""

from __future__ import annotations

import shutil
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.audio.recordings import SUFFIXES
from ser.errors import DownloadError, LimitError
from ser.progress import Progress, Reporter
from ser.sources.base import SOURCES, Source, refused
from ser.storage import archive
from ser.storage.access import Access
from ser.storage.stores import files_of
from ser.storage.strict_json import fingerprint

_TABLE_SUFFIXES = (".csv", ".yaml")


@SOURCES.register("file")
class LocalSource(Source):
    """A zip or a folder on this machine."""

    path: Path

    @classmethod
    def open(cls, remote_url: str, access: Access) -> LocalSource:  # noqa: ARG003 - a path leads nowhere else
        """See `Source.open`."""
        parts = urllib.parse.urlsplit(remote_url)
        path = urllib.parse.unquote(parts.path) if parts.scheme else remote_url
        try:
            found = Path(path).expanduser()
            return FolderSource(found) if found.is_dir() else FileSource(found)
        except OSError as error:  # a name that is too long
            raise refused(remote_url, f"a path ({error.strerror})") from None
        except RuntimeError as error:  # "~nobody"
            raise refused(remote_url, f"a path ({error})") from None


@dataclass(frozen=True)
class FileSource(LocalSource):
    """A zip on this machine."""

    path: Path

    @property
    def description(self) -> str:
        """See `Source.description`."""
        return self.path.name

    def identity(self) -> dict[str, Any]:
        """See `Source.identity`: path, size, time and number (inode).

        Raises:
            DownloadError: If there is no such file.
        """
        if not self.path.is_file():
            raise DownloadError(f"{self.path}: expected a corpus as a zip or a folder, there is no such file")
        status = self.path.stat()
        known = {"size": status.st_size, "modified_ns": status.st_mtime_ns, "number": status.st_ino}
        return {"file": str(self.path.resolve()), **known}

    def fetch(self, path: Path, *, max_bytes: int, report: Reporter) -> None:
        """See `Source.fetch`."""
        size = self.identity()["size"]
        if size > max_bytes:
            raise LimitError(f"{self.path}: expected at most {max_bytes} bytes, got {size}")
        shutil.copyfile(self.path, path)
        report(Progress("download", size, size, "bytes"))


@dataclass(frozen=True)
class FolderSource(LocalSource):
    """A folder on this machine: its recordings, and the tables that may describe them."""

    path: Path

    @property
    def description(self) -> str:
        """See `Source.description`."""
        return self.path.resolve().name or "/"

    def identity(self) -> dict[str, Any]:
        """See `Source.identity`: names, sizes and times of all files."""
        states = {name: path.stat() for name, path in self._files().items()}
        listing = [(name, state.st_size, state.st_mtime_ns) for name, state in sorted(states.items())]
        return {"folder": str(self.path.resolve()), "files": fingerprint(listing)}

    def fetch(self, path: Path, *, max_bytes: int, report: Reporter) -> None:
        """See `Source.fetch`."""
        files = self._files()
        size = sum(file.stat().st_size for file in files.values())
        if size > max_bytes:
            raise LimitError(f"{self.path}: expected at most {max_bytes} bytes, got {size}")
        archive.pack(files, path, report)

    def _files(self) -> dict[str, Path]:
        wanted = {*SUFFIXES, *_TABLE_SUFFIXES}
        return {name: path for name, path in files_of(self.path).items() if path.suffix.lower() in wanted}
