"""Which addresses may be fetched. A server fetches what strangers name, and must not reach into its own network."""

from __future__ import annotations

import ipaddress
import re
import socket
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection

from ser.errors import ForbiddenError

SCHEMES = frozenset({"http", "https", "file", "embedded"})
"""All that a source's address may begin with; a bare path counts as file."""
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(
    rf"(?=.{{1,254}}(?::|$))(?:{_LABEL}(?:\.{_LABEL})*\.?|\[([0-9a-f:.]+)\])(?::(\d{{0,5}}))?", re.IGNORECASE | re.ASCII
)
_NOT_IN_ADDRESSES = re.compile("[\0-\x20\x7f-\x9f\ud800-\udfff\\\\]")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "3fff::/20")
)
"""What newer and older versions of `ipaddress` take for global, and is not: protocols' and documentation's networks."""
_TRANSLATED = ((ipaddress.IPv6Network("64:ff9b::/96"), 0), (ipaddress.IPv6Network("2002::/16"), 80))
"""Networks whose addresses lead to an IPv4 address (NAT64, 6to4), and how many bits follow it."""


@dataclass(frozen=True)
class Access:
    """What may be fetched; by default everything, as fits one's own machine."""

    schemes: frozenset[str] = SCHEMES
    """Allowed of `SCHEMES`."""
    private: bool = True
    """Whether hosts may have private, loopback or link-local addresses."""
    hosts: frozenset[str] = frozenset()
    """Names and addresses that are allowed though they are private, in lower case; "name:port" allows one port."""

    def check_scheme(self, scheme: str) -> None:
        """Refuses a scheme that is not allowed.

        Raises:
            ForbiddenError: If it is not.
        """
        if scheme not in self.schemes:
            allowed = ", ".join(sorted(self.schemes))
            raise ForbiddenError(f"remote_url: {scheme}: is not allowed here; allowed: {allowed}")

    def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host, each of which may be connected to.

        Raises:
            ForbiddenError: If one of them is private and the host is not listed.
            OSError: If there is none.
        """
        try:
            found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        except ValueError as error:  # of IDNA: a label that is empty or too long
            raise socket.gaierror(socket.EAI_NONAME, f"no host can be called {host[:300]!r}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        name = host.strip("[]").lower().rstrip(".")
        if self.private or not self.hosts.isdisjoint({name, f"{name}:{port}"}):
            return addresses
        if any(not _is_public(address) for address in addresses):
            raise ForbiddenError(
                f"remote_url: {name} is a private address (or leads to one), which this server must not fetch; "
                "the operator can allow the host by SER_ALLOWED_HOSTS"
            )
        return addresses

    def pool(self, **settings: Any) -> urllib3.PoolManager:
        """A pool whose every connection, redirected ones too, goes to an address that was checked.

        The name is resolved once, and the connection made to what came out: a name that answers differently the
        second time (DNS rebinding) gains nothing.
        """
        manager = urllib3.PoolManager(**settings)
        manager.pool_classes_by_scheme = {
            "http": type("_HTTPPool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": _guarded(HTTPConnection, self)}),
            "https": type(
                "_HTTPSPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": _guarded(HTTPSConnection, self)}
            ),
        }
        return manager


def check_address(address: str) -> None:
    """Refuses an address of http or https that no host can be found by.

    Raises:
        ValueError: If it is one; the message says what was expected.
    """
    if _NOT_IN_ADDRESSES.search(address):
        raise ValueError("an address without spaces, backslashes and control characters")
    host = urllib.parse.urlsplit(address).netloc.rpartition("@")[2]
    found = _HOST.fullmatch(host)
    if found is None:
        raise ValueError("a host in ASCII behind the scheme, in labels of 1 to 63 characters, and a port at most")
    if found[1] is not None:
        try:
            ipaddress.IPv6Address(found[1])
        except ValueError:
            raise ValueError("an IPv6 address in the brackets") from None
    if found[2] and not 0 < int(found[2]) < 65_536:
        raise ValueError("a port from 1 to 65535")


def shown_address(address: str) -> str:
    """An address as it may be shown: without user and password, and without the values of its query.

    Of one that is malformed, and may have a password where none is looked for, nothing but the scheme is shown. A path
    and `embedded:` have nothing to hide.
    """
    scheme, separator, rest = address.partition(":")
    if not separator or scheme.lower() in ("embedded", "file") or "/" in scheme:
        return address
    before, asks, query = rest.partition("#")[0].partition("?")
    authority, slash, path = before.removeprefix("//").partition("/")
    host = authority.rpartition("@")[2]
    if "@" in rest and not _HOST.fullmatch(host):
        return f"{scheme}:…"  # as of a password with a slash, which ends what looks like the host
    names = [pair.partition("=")[0] for pair in query.split("&")]
    hidden = "&".join(f"{name}=…" for name in names) if "=" in query else "…"
    return f"{scheme}:{'//' if before.startswith('//') else ''}{host}{slash}{path}{asks}{hidden if asks else ''}"


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner = _translated(ip)
    if inner is not None:
        ip = inner
    if ip.version == 6 and ip not in _GLOBAL_UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


def _translated(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    for network, bits in _TRANSLATED:
        if ip in network:
            return ipaddress.IPv4Address(int(ip) >> bits & 0xFFFFFFFF)
    return ip.ipv4_mapped


def _guarded(base: Any, access: Access) -> type:
    def connect(connection: Any) -> socket.socket:
        timeout, options = connection.timeout, connection.socket_options
        try:
            addresses = access.resolve(connection._dns_host, connection.port)
        except OSError as error:
            reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise urllib3.exceptions.NameResolutionError(connection.host, connection, reason) from error
        return _connect_to_one(addresses, connection, timeout, options)

    return type(f"_Guarded{base.__name__}", (base,), {"_new_conn": connect})


def _connect_to_one(addresses: Iterable[str], connection: Any, timeout: Any, options: Any) -> socket.socket:
    failure: OSError | None = None
    for address in addresses:
        try:
            return create_connection((address, connection.port), timeout, socket_options=options)
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(
                connection, f"{connection.host} did not take the connection within {timeout} s"
            ) from error
        except OSError as error:
            failure = error
    raise urllib3.exceptions.NewConnectionError(connection, f"cannot connect to {connection.host}: {failure}")
