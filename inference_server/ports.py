"""The ports that workers share: taken once, given up once."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

_BACKLOG = 1_024
_SO_ATTACH_FILTER = 26  # <asm-generic/socket.h>
_SYN = 0x02
_NO_SYN = (
    # A program for the kernel's packet filter: load the byte with the flags of the TCP header; is SYN among them? then
    # keep none of the packet, else all of it.
    struct.pack("HBBI", 0x30, 0, 0, 13)
    + struct.pack("HBBI", 0x45, 0, 1, _SYN)
    + struct.pack("HBBI", 0x06, 0, 0, 0)
    + struct.pack("HBBI", 0x06, 0, 0, 0xFFFFFFFF)
)


class PortError(OSError):
    """A port cannot be listened on."""


def listen(name: str, host: str, port: int) -> socket.socket:
    """A listening socket that children may inherit; `name` is the setting of the port.

    Raises:
        PortError: If the port is taken.
    """
    listener = hold(name, host, port, shared=False)
    listener.listen(_BACKLOG)
    listener.set_inheritable(True)
    return listener


def hold(name: str, host: str, port: int, *, shared: bool = True) -> socket.socket:
    """A socket bound to a port. With `shared` others may bind to it that say so too.

    Raises:
        PortError: If the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if shared and port:
            with socket.socket(family, kind, protocol) as probe:  # one that does not share finds strangers
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        held = socket.socket(family, kind, protocol)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if shared else socket.SO_REUSEADDR, 1)
        held.bind(address)
    except OSError as error:
        raise PortError(f"{name}: cannot listen on {host}:{port}: {error.strerror} (SER_{name.upper()})") from None
    return held


def refuse_newcomers(listener: socket.socket) -> bool:
    """Lets nobody else connect to a listening socket, whoever holds it; connections that wait can still be accepted.

    Closing it instead would reset those that nobody has accepted yet. A caller who comes now is not answered by the
    kernel, asks again a second later, and is refused if the socket is closed by then. Linux only, and not every kernel
    lets a user without rights do it; elsewhere callers are let in until the socket is closed.

    Returns:
        Whether newcomers are kept out.
    """
    if sys.platform != "linux":
        return False
    program = ctypes.create_string_buffer(_NO_SYN, len(_NO_SYN))
    count = len(_NO_SYN) // struct.calcsize("HBBI")
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", count, ctypes.addressof(program)))
    except OSError:  # a kernel without packet filters, or not for this user
        return False
    return True
