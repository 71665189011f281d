"""By which names this server may be called over HTTP, and whose pages may call it.

A browser lets a page call the server that it came from. By DNS rebinding that can be any server that its visitor
reaches: the page's name first leads to its author's machine, then to this one. The name stays the page's, and the
request carries it, as `Host` and as `Origin`; so a server that knows its own names is safe. gRPC needs none of this:
browsers cannot speak it without TLS, and with TLS the certificate has the names.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ser.errors import ConfigError, FieldViolation, ForbiddenError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|(?!-)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)(?::(\d{1,5}))?", re.ASCII)
_REMEMBERED = 1_024
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class ServedName:
    """One entry of `SER_SERVED_NAMES`."""

    name: str
    """In lower case; `*.` in front of it stands for all names below it."""
    port: int | None
    """None is any."""
    scheme: str | None
    """What browsers call it by, http or https; None is what this server speaks itself."""

    def is_name_of(self, host: str, port: int | None) -> bool:
        """Whether a request to that host and port is one to this name."""
        below = self.name.startswith("*.") and host.endswith(self.name[1:]) and len(host) >= len(self.name)
        return (host == self.name or below) and self.port in (None, port)


class Origins:
    """Refuses requests that are for another server, or of another server's page."""

    def __init__(self, host: str, served: str) -> None:
        """Reads the names.

        Args:
            host: What the server listens on; if that is a name, it is one of its names.
            served: Further names, comma-separated, as `SER_SERVED_NAMES` has them.

        Raises:
            ValueError: If one of them is none.
        """
        self._own = host.lower().rstrip(".")
        self._served = served_names(served)
        self._taken: set[tuple[bytes, bytes | None, str, object]] = set()

    def check(
        self, headers: Iterable[tuple[bytes, bytes]], scheme: str, local: tuple[str, int | None] | None, version: str
    ) -> None:
        """Holds a request's `Host` and `Origin` against the server's names.

        Args:
            headers: Names, in lower case, and values.
            scheme: As the server speaks it: http, https, ws or wss.
            local: This end of the connection: address and port.
            version: Of HTTP. 1.0 knows no `Host`, and no browser speaks it: old load balancers' probes do.

        Raises:
            ConfigError: If `Host` is missing, comes twice or is malformed.
            ForbiddenError: If the server is not called so, or `Origin` is not its own.
        """
        host: bytes | None = None
        origin: bytes | None = None
        for name, value in headers:
            if name == b"host":
                if host is not None:
                    raise _wrong_host("expected once, came several times")
                host = value
            elif name == b"origin":
                if origin is not None:
                    raise ForbiddenError("origin: expected at most once, came several times")
                origin = value
        if host is None and origin is None and version == "1.0":
            return
        if host is None:
            raise _wrong_host("mandatory, and missing")
        key = (host, origin, scheme, local and local[0])
        if key not in self._taken:
            self._check(host.decode("latin-1"), origin, scheme, local)
            if len(self._taken) < _REMEMBERED:  # callers choose what is kept here
                self._taken.add(key)

    def _check(self, host: str, origin: bytes | None, scheme: str, local: tuple[str, int | None] | None) -> None:
        spoken = {"ws": "http", "wss": "https"}.get(scheme, scheme)
        read = _authority(host)
        if read is None:
            raise _wrong_host(f"expected a name or an address, and a port at most, got {host[:200]!r}")
        name, port = read
        schemes = {
            served.scheme or spoken
            for served in self._served
            if served.is_name_of(name, port or _DEFAULT_PORTS[served.scheme or spoken])
        }
        if name == "localhost" or name.endswith(".localhost") or name == self._own or _is_own(name, local):
            schemes.add(spoken)
        if not schemes:
            raise ForbiddenError(
                f"host: this server is not called {host[:200]}; its operator can name what it is called, "
                "comma-separated, in SER_SERVED_NAMES"
            )
        if origin is not None and not any(_is_page_of(origin, one, name, port) for one in schemes):
            shown = origin[:200].decode("latin-1")
            raise ForbiddenError(f"origin: calls from pages of {shown or 'no site'} are not taken")


def served_names(text: str) -> tuple[ServedName, ...]:
    """The entries of a comma-separated list.

    Raises:
        ValueError: If one is no name.
    """
    return tuple(_served_name(entry.strip()) for entry in text.split(",") if entry.strip())


def _served_name(entry: str) -> ServedName:
    scheme, _, rest = entry.lower().rpartition("://")
    below = "*." if rest.startswith("*.") else ""
    read = _authority(rest.removeprefix(below))
    if read is None or scheme not in ("", *_DEFAULT_PORTS):
        raise ValueError(f"expected names as ser.example.org, name:port, https://name or *.example.org, got {entry!r}")
    return ServedName(below + read[0], read[1], scheme or None)


def _authority(text: str) -> tuple[str, int | None] | None:
    """Name and port, in one way of writing; None if it is malformed."""
    found = _AUTHORITY.fullmatch(text.lower())
    if found is None:
        return None
    name, port = found[1], int(found[2]) if found[2] else None
    if port is not None and not 0 < port < 65_536:
        return None
    if name.startswith("["):
        address = _address(name[1:-1])
        return (str(address), port) if address is not None else None
    return name.rstrip("."), port


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_own(name: str, local: tuple[str, int | None] | None) -> bool:
    """Whether it is an address that leads to this machine alone, or the one that the connection came to."""
    address = _address(name)
    if address is None:
        return False
    return address.is_loopback or (local is not None and address == _address(local[0].partition("%")[0]))


def _is_page_of(origin: bytes, scheme: str, name: str, port: int | None) -> bool:
    default = _DEFAULT_PORTS[scheme]
    of_scheme, separator, rest = origin.decode("latin-1").partition("://")
    read = _authority(rest) if separator and of_scheme.lower() == scheme else None
    return read is not None and (read[0], read[1] or default) == (name, port or default)


def _wrong_host(description: str) -> ConfigError:
    return ConfigError([FieldViolation("host", description)])
