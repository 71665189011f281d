"""What a source of a corpus is, and the registry of them by scheme."""

from __future__ import annotations

import abc
import logging
import urllib.parse
from pathlib import Path
from typing import Any

from ser.errors import ConfigError, DownloadError, FieldViolation
from ser.progress import Reporter
from ser.registry import Registry
from ser.storage.access import Access, shown_address

_PATH = "file"
"""The scheme of an address that has none."""
_log = logging.getLogger(__name__)


class Source(abc.ABC):
    """Something that a corpus zip can be fetched from."""

    @classmethod
    @abc.abstractmethod
    def open(cls, remote_url: str, access: Access) -> Source:
        """The source that an address of this scheme names; nothing is fetched.

        Args:
            remote_url: The address, which can be split by `urllib.parse.urlsplit`.
            access: What may be fetched; the scheme may.

        Raises:
            ConfigError: If the address is of another form (`refused`).
        """

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


SOURCES: Registry[type[Source]] = Registry("scheme", "ser.sources", "ser.sources")


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
        scheme = urllib.parse.urlsplit(remote_url).scheme or _PATH
    except ValueError:  # its words may have parts of a password
        raise refused(remote_url, "an address") from None
    if scheme not in SOURCES.names():
        raise refused(remote_url, "http://, https://, file://, a path, or embedded:")
    access.check_scheme(scheme)
    return SOURCES.get(scheme).open(remote_url, access)


def refused(remote_url: str, expected: str) -> ConfigError:
    """The error of an address, in which its secrets are not shown."""
    return ConfigError([FieldViolation("remote_url", f"expected {expected}, got {shown_address(remote_url)!r}")])


def version_now(source: Source, known: dict[str, str] | None) -> dict[str, str]:
    """What a source says of the version that it has now.

    Args:
        source: The source.
        known: What it said of what was fetched, which is taken where it cannot be asked; None if nothing was, or if it
            will be fetched anyway.

    Raises:
        DownloadError: If it cannot be asked, and nothing is known.
        ForbiddenError: If its address must not be fetched.
    """
    try:
        version = source.version()
    except DownloadError as error:
        if known is None:
            raise
        _log.warning("%s; going on with what was fetched before, which may have changed since", error)
        return known
    if version == {} and known is not None:
        _log.warning(
            "%s: the server does not tell whether this has changed; going on with what was fetched before "
            "(dataset_force fetches it again)",
            source.description,
        )
    return version or {}
