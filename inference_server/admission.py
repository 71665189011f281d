"""How many calls are under way, of all callers and of each: past a limit a call is refused at once.

A limit for each caller keeps one from taking all places. A caller is a token; where there are none, an address.
"""

from __future__ import annotations

import ipaddress

from ser_inference_server.failures import OverloadedError
from ser_inference_server.settings import Settings


class Admission:
    """The places of one worker: those of short calls, and those of calls that stay open."""

    def __init__(self, settings: Settings) -> None:
        self._short = _Places(settings.max_calls, settings.max_calls_per_caller, "CALLS")
        self._long = _Places(settings.max_streams, settings.max_streams_per_caller, "STREAMS")

    def take(self, caller: str, *, long: bool) -> None:
        """Takes a place; whoever got one gives it back.

        Raises:
            OverloadedError: If there is none left, for this caller or at all.
        """
        (self._long if long else self._short).take(caller)

    def give_back(self, caller: str, *, long: bool) -> None:
        """Gives a place back that was taken."""
        (self._long if long else self._short).give_back(caller)


class _Places:
    def __init__(self, of_all: int, of_each: int, name: str) -> None:
        self._of_all, self._of_each = of_all, of_each
        self._name = name
        self._taken = 0
        self._taken_by: dict[str, int] = {}

    def take(self, caller: str) -> None:
        own = self._taken_by.get(caller, 0)
        if own >= self._of_each:
            raise OverloadedError(
                f"{own} calls of yours are under way, at most {self._of_each} are taken of one caller "
                f"(SER_MAX_{self._name}_PER_CALLER); try again later"
            )
        if self._taken >= self._of_all:
            raise OverloadedError(
                f"{self._taken} calls are under way, at most {self._of_all} are taken at once "
                f"(SER_MAX_{self._name}); try again later"
            )
        self._taken_by[caller] = own + 1
        self._taken += 1

    def give_back(self, caller: str) -> None:
        self._taken -= 1
        left = self._taken_by[caller] - 1
        if left:
            self._taken_by[caller] = left
        else:
            del self._taken_by[caller]  # who is gone leaves nothing


def caller_of(address: str) -> str:
    """Whom an address stands for. One that has an IPv6 address has all that share its first 64 bits."""
    if ":" not in address:
        return address
    try:
        ip = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ip.ipv4_mapped or ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))
