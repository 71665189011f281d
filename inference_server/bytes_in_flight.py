"""The bytes of requests that are there at once: a bound on memory that slow callers cannot hold against others."""

from __future__ import annotations

import asyncio
from types import TracebackType

from ser_inference_server.failures import DeadlineError, OverloadedError


class SlowBodyError(DeadlineError):
    """A body that does not come in time."""

    http_status = 408


class BytesInFlight:
    """All requests of a worker. Where there is no room for more, the one that has been coming for longest gives way."""

    def __init__(self, most_bytes: int, most_seconds: float) -> None:
        """Sets the bounds.

        Args:
            most_bytes: Of all requests together, those that have come whole and those that are coming.
            most_seconds: Longest that one may take to come.
        """
        self._most_bytes = most_bytes
        self._left = most_bytes
        self._most_seconds = most_seconds
        self._coming: dict[Arrival, None] = {}  # the one that began first comes first

    def arrival(self) -> Arrival:
        """Of a request of which nothing has come yet."""
        return Arrival(self)

    def take(self, number: int, arrival: Arrival) -> None:
        """Makes room for bytes of one that is coming, or has come.

        Raises:
            OverloadedError: If there is none.
        """
        if number > self._left:
            for other in list(self._coming):
                if other is arrival or number <= self._left:
                    break
                other.give_way()
            if number > self._left:
                raise self.full()
        self._left -= number

    def give_back(self, number: int) -> None:
        """What was taken."""
        self._left += number

    def begin(self, arrival: Arrival) -> asyncio.Timeout:
        """One comes from now on, for so long at most."""
        self._coming[arrival] = None
        return asyncio.timeout(self._most_seconds)

    def end(self, arrival: Arrival) -> None:
        """One has come, or does not come any more."""
        self._coming.pop(arrival, None)

    def full(self) -> OverloadedError:
        """Says that there is no room."""
        limit = f"{self._most_bytes} bytes (SER_MAX_BYTES_IN_FLIGHT)"
        return OverloadedError(f"the requests that are here take all of {limit}; try again later")

    def slow(self) -> SlowBodyError:
        """Says that one took too long."""
        return SlowBodyError(f"expected the body within {self._most_seconds:g} s (SER_MAX_BODY_SECONDS)")


class Arrival:
    """The bytes of one request, until its call ends."""

    def __init__(self, flight: BytesInFlight) -> None:
        self._flight = flight
        self._bytes = 0
        self._timeout: asyncio.Timeout | None = None
        self._gave_way = False

    def add(self, number: int) -> None:
        """Counts bytes that have come.

        Raises:
            OverloadedError: If there is no room for them.
        """
        self._flight.take(number, self)
        self._bytes += number

    async def __aenter__(self) -> None:
        """While it comes. It ends with an error when it takes too long, or when others need its room."""
        self._timeout = self._flight.begin(self)
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It has come.

        Raises:
            SlowBodyError: If it took too long.
            OverloadedError: If others needed its room.
        """
        self._flight.end(self)
        timeout = self._timeout
        self._timeout = None
        if timeout is not None:
            try:
                await timeout.__aexit__(kind, error, trace)
            except TimeoutError:
                raise (self._flight.full() if self._gave_way else self._flight.slow()) from None

    def give_way(self) -> None:
        """Lets go of what has come, and ends its coming."""
        self._gave_way = True
        self.forget()
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(0)  # long past

    def forget(self) -> None:
        """Its bytes are not there any more."""
        self._flight.give_back(self._bytes)
        self._bytes = 0
