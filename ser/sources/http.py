"""A corpus behind HTTP."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from ser.errors import DownloadError, LimitError
from ser.progress import Progress, Reporter
from ser.sources.base import SOURCES, Source, refused
from ser.sources.remote_version import NO_ADDRESS, reason_of, remote_version
from ser.storage.access import Access, check_address, shown_address

_CHUNK_BYTES = 1 << 20
_TIMEOUT = urllib3.Timeout(connect=15.0, read=60.0)
# urllib3 would log each new try, with the whole address: with what is secret in it.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
_RETRY = urllib3.Retry(total=5, connect=3, read=2, status=3, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504))


@SOURCES.register("http")
@SOURCES.register("https")
@dataclass(frozen=True)
class HttpSource(Source):
    """A zip behind an HTTP address; redirects are followed, passing faults are tried again."""

    url: str
    access: Access = field(default_factory=Access)

    @classmethod
    def open(cls, remote_url: str, access: Access) -> HttpSource:
        """See `Source.open`."""
        try:
            check_address(remote_url)
        except ValueError as error:
            raise refused(remote_url, str(error)) from None
        return cls(remote_url, access)

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
