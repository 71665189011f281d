"""Where a corpus comes from, as a zip: an HTTP address, a file, a folder, or the embedded synthesiser."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import logging
import re
import shutil
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from ser.audio.recordings import SUFFIXES
from ser.code_identity import package_digest
from ser.errors import ConfigError, DownloadError, FieldViolation, LimitError
from ser.progress import Progress, Reporter
from ser.storage import archive
from ser.storage.access import SCHEMES, Access, check_address, shown_address
from ser.storage.remote_version import NO_ADDRESS, reason_of, remote_version
from ser.storage.stores import files_of
from ser.storage.strict_json import fingerprint

EMBEDDED_CLIPS = 300
"""Clips of the embedded corpus when `embedded:` says nothing else."""
_TABLE_SUFFIXES = (".csv", ".yaml")
_CHUNK_BYTES = 1 << 20
_TIMEOUT = urllib3.Timeout(connect=15.0, read=60.0)
# urllib3 would log each new try, with the whole address: with what is secret in it.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
_RETRY = urllib3.Retry(total=5, connect=3, read=2, status=3, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504))


class Source(abc.ABC):
    """Something that a corpus zip can be fetched from."""

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """What to call it in messages and reports: neither passwords and tokens nor this machine's folders."""

    @abc.abstractmethod
    def identity(self) -> dict[str, Any]:
        """What says, without fetching, whether it still is what was fetched before; JSON-serialisable."""

    def version(self) -> dict[str, str] | None:
        """What its owner says, from afar, of the version that there is now; None if `identity` says it all.

        Raises:
            DownloadError: If the owner cannot be asked.
            ForbiddenError: If the address must not be fetched.
        """
        return None

    def check(self) -> None:
        """Refuses, before anything is fetched, what would be refused then; may ask the network for an address.

        Raises:
            ForbiddenError: If the address must not be fetched.
        """
        return

    @abc.abstractmethod
    def fetch(self, path: Path, *, max_bytes: int, report: Reporter) -> None:
        """Writes the zip to a new file.

        Raises:
            DownloadError: If it cannot be had whole.
            LimitError: If it is larger than `max_bytes`.
        """


def open_source(remote_url: str, access: Access | None = None) -> Source:
    """The source that an address names.

    Args:
        remote_url: `http://` or `https://`, `file://`, a path of a file or folder, or `embedded:` optionally followed
            by `?clips=N&seed=S`.
        access: What may be fetched, by default everything.

    Raises:
        ConfigError: If the address is of none of these forms.
        ForbiddenError: If its scheme is not allowed; hosts are checked when they are connected to.
    """
    access = access or Access()
    try:
        parts = urllib.parse.urlsplit(remote_url)
    except ValueError:  # its words may have parts of a password
        raise _refused(remote_url, "an address") from None
    if parts.scheme in {*SCHEMES, ""}:
        access.check_scheme(parts.scheme or "file")
    match parts.scheme:
        case "http" | "https":
            try:
                check_address(remote_url)
            except ValueError as error:
                raise _refused(remote_url, str(error)) from None
            return HttpSource(remote_url, access)
        case "file":
            return _local(urllib.parse.unquote(parts.path), remote_url)
        case "embedded":
            return _embedded(remote_url, parts.query)
        case "":
            return _local(remote_url, remote_url)
        case _:
            raise _refused(remote_url, "http://, https://, file://, a path, or embedded:")


def _refused(remote_url: str, expected: str) -> ConfigError:
    return ConfigError([FieldViolation("remote_url", f"expected {expected}, got {shown_address(remote_url)!r}")])


def _local(path: str, remote_url: str) -> FileSource | FolderSource:
    try:
        found = Path(path).expanduser()
        return FolderSource(found) if found.is_dir() else FileSource(found)
    except OSError as error:  # a name that is too long
        raise _refused(remote_url, f"a path ({error.strerror})") from None
    except RuntimeError as error:  # "~nobody"
        raise _refused(remote_url, f"a path ({error})") from None


def _embedded(remote_url: str, query: str) -> EmbeddedSource:
    values = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    if not values.keys() <= {"clips", "seed"} or not all(re.fullmatch(r"\d{1,9}", v) for v in values.values()):
        raise _refused(remote_url, "embedded: with nothing but ?clips=N&seed=S, whole numbers, behind it")
    return EmbeddedSource(int(values.get("clips", EMBEDDED_CLIPS)), int(values.get("seed", 0)))


@dataclass(frozen=True)
class HttpSource(Source):
    """A zip behind an HTTP address; redirects are followed, passing faults are tried again."""

    url: str
    access: Access = field(default_factory=Access)

    @property
    def description(self) -> str:
        """See `Source.description`."""
        return shown_address(self.url).partition("?")[0]

    def identity(self) -> dict[str, Any]:
        """See `Source.identity`. What the server has now, `version` tells."""
        return {"url": self.description, "sha256": hashlib.sha256(self.url.encode()).hexdigest()}

    def version(self) -> dict[str, str]:
        """See `Source.version`."""
        return remote_version(self.url, self.access, self.description)

    def check(self) -> None:
        """See `Source.check`. A host that cannot be found is told of by `fetch`."""
        parts = urllib.parse.urlsplit(self.url)
        with contextlib.suppress(OSError):
            self.access.resolve(str(parts.hostname), parts.port or {"http": 80, "https": 443}[parts.scheme])

    def fetch(self, path: Path, *, max_bytes: int, report: Reporter) -> None:
        """See `Source.fetch`."""
        try:
            with self.access.pool(retries=_RETRY, timeout=_TIMEOUT) as pool:
                response = pool.request("GET", self.url, preload_content=False, headers={"User-Agent": "ser"})
                try:
                    self._save(response, path, max_bytes, report)
                finally:
                    response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise DownloadError(f"{self.description}: {reason_of(error)}") from error
        except ValueError as error:  # of urllib.parse
            raise DownloadError(f"{self.description}: {NO_ADDRESS}") from error

    def _save(self, response: urllib3.BaseHTTPResponse, path: Path, max_bytes: int, report: Reporter) -> None:
        if response.status != 200:
            raise DownloadError(
                f"{self.description}: expected a zip, the server answered {response.status} {response.reason}"
            )
        announced = response.headers.get("Content-Length", "")
        total = int(announced) if announced.isdigit() else None
        if total is not None and total > max_bytes:
            raise LimitError(f"{self.description}: expected at most {max_bytes} bytes, the server announces {total}")
        done = 0
        with path.open("wb") as file:
            # urllib3 raises IncompleteRead when fewer bytes come than were announced.
            for chunk in response.stream(_CHUNK_BYTES, decode_content=True):
                done += len(chunk)
                if done > max_bytes:
                    raise LimitError(f"{self.description}: expected at most {max_bytes} bytes, more are coming")
                file.write(chunk)
                report(Progress("download", done, total, "bytes"))


@dataclass(frozen=True)
class FileSource(Source):
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
class FolderSource(Source):
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


@dataclass(frozen=True)
class EmbeddedSource(Source):
    """The corpus that SER synthesises: no network, no licence."""

    clips: int
    seed: int

    @property
    def description(self) -> str:
        """See `Source.description`."""
        return f"embedded corpus: {self.clips} synthetic clips, seed {self.seed}"

    def identity(self) -> dict[str, Any]:
        """See `Source.identity`."""
        return {"embedded": {"clips": self.clips, "seed": self.seed}, "code": package_digest("ser.synthesis")}

    def fetch(self, path: Path, *, max_bytes: int, report: Reporter) -> None:
        """See `Source.fetch`."""
        from ser.synthesis import CLIP_BYTES, synthesise_corpus  # a server that only predicts never needs it

        # Told before the work: with a clip in ten milliseconds it may be of hours.
        if self.clips * CLIP_BYTES > max_bytes:
            raise LimitError(
                f"{self.description}: expected at most {max_bytes} bytes, it takes about {self.clips * CLIP_BYTES}"
            )
        try:
            synthesise_corpus(path, clips=self.clips, seed=self.seed, report=report)
        except ValueError as error:
            raise ConfigError([FieldViolation("remote_url", str(error))]) from error
