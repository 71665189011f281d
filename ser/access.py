"""Which addresses may be fetched. A server fetches what strangers name, and must not reach into its own network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection

from ser.errors import ForbiddenError

SCHEMES = frozenset({"http", "https", "file", "embedded"})
"""All that a source's address may begin with; a bare path counts as file."""


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
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
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


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    return ip.is_global and not ip.is_multicast and (mapped is None or mapped.is_global)


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
