"""What every call goes through, whichever protocol it came by: who calls, how many at once, how long, what to log."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ser.errors import Code, SerError
from ser_inference_server import metrics
from ser_inference_server.admission import Admission, caller_of
from ser_inference_server.bytes_in_flight import Arrival, BytesInFlight
from ser_inference_server.failures import (
    DeadlineError,
    DefectError,
    StoppingError,
    grpc_code,
)
from ser_inference_server.roots import Roots
from ser_inference_server.settings import Settings
from ser_inference_server.threads import Threads
from ser_inference_server.tokens import RIGHTS, Right

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_MESSAGES_IN_FLIGHT = 8
logger = logging.getLogger("ser.calls")


@dataclass
class Call:
    """One call under way."""

    rpc: str
    """The RPC's name."""
    protocol: str
    """grpc or http."""
    request_id: str
    """Set by the caller, or made here; in the answer and in the log."""
    deadline: float
    """Until when an answer is of use, as `time.monotonic`."""
    arrival: Arrival
    """Its request's bytes."""
    threads: Threads
    """Where it computes."""
    long: bool = False
    """Whether it stays open: a training, a stream."""
    ended: bool = False
    """Whether nobody waits any more; work in a thread looks here."""
    caller: str = ""
    """Who calls: a token, or an address."""
    admitted: bool = False
    """Whether it counts as one of the calls at once: it has come whole."""
    audio_seconds: float = 0.0
    """Sound that it has brought so far."""
    facts: dict[str, object] = field(default_factory=dict)
    """What else to log."""

    def check(self) -> None:
        """Ends work that nobody waits for.

        Raises:
            DeadlineError: If the deadline has passed or the caller is gone.
        """
        if self.ended or time.monotonic() > self.deadline:
            raise DeadlineError("the deadline passed before the work was done")


class Calls:
    """The calls of one worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tokens = settings.tokens
        self._admission = Admission(settings)
        self._roots = Roots(settings)
        self.threads = Threads()
        most_bytes = settings.max_bytes_in_flight or _MESSAGES_IN_FLIGHT * settings.max_message_bytes
        self.bytes = BytesInFlight(most_bytes, settings.max_body_seconds)
        self.stopping = asyncio.Event()
        """Set when the server is to stop; calls that wait for something end then."""

    def authorise(self, authorization: str | None, right: Right, *, address: str) -> str:
        """Says who calls: a token where tokens are wanted, else an address.

        Raises:
            UnauthenticatedError: If there is no token, or a wrong one.
            ForbiddenError: If it lacks the right.
        """
        return caller_of(address) if self._tokens is None else self._tokens.caller(authorization, right)

    @asynccontextmanager
    async def enter(
        self,
        rpc: str,
        protocol: str,
        *,
        request_id: str,
        authorization: str | None,
        address: str,
        seconds: float | None = None,
        long: bool = False,
        whole: bool = True,
    ) -> AsyncIterator[Call]:
        """Lets a call in, or refuses it at once; what it raises leaves as a `SerError`.

        Args:
            rpc: Its name.
            protocol: grpc or http.
            request_id: As `request_id` made it.
            authorization: The header of that name.
            address: Where it comes from.
            seconds: How long the caller waits; None for ever.
            long: Whether it stays open: a training, a stream.
            whole: Whether its request has come; else `admit` counts it when it has.

        Raises:
            SerError: Of the call, or because it is refused.
        """
        started = time.monotonic()
        limit = math.inf if long else self._settings.max_call_seconds
        deadline = started + min(limit, math.inf if seconds is None else seconds)
        call = Call(rpc, protocol, request_id, deadline, self.bytes.arrival(), self.threads, long)
        kind, code = "long" if long else "short", Code.INTERNAL.name
        metrics.in_flight(kind).inc()
        try:
            if long and self.stopping.is_set():  # a short one that is on its way is still answered
                raise StoppingError("the server is stopping; try again")
            call.caller = self.authorise(authorization, RIGHTS[rpc], address=address)
            if whole:
                self.admit(call)
            yield call
            code = "OK"
        except (asyncio.CancelledError, GeneratorExit):  # the latter ends a stream whose answers nobody takes
            code = Code.CANCELLED.name
            raise
        except TimeoutError:
            code = Code.DEADLINE_EXCEEDED.name
            raise DeadlineError("the deadline passed before the work was done") from None
        except SerError as error:
            code = grpc_code(error).name
            call.facts["error"] = str(error)
            self._roots.hide_in(error)
            raise
        except Exception as error:
            logger.exception("defect", extra={"request_id": call.request_id, "rpc": rpc})
            raise DefectError(call.request_id) from error
        finally:
            call.ended = True
            call.arrival.forget()
            if call.admitted:
                self._admission.give_back(call.caller, long=long)
            metrics.in_flight(kind).dec()
            self._tell(call, code, time.monotonic() - started)

    def of_server(self, rpc: str) -> Call:
        """What the server does of its own accord, without a deadline."""
        return Call(rpc, "", "", math.inf, self.bytes.arrival(), self.threads)

    def admit(self, call: Call) -> None:
        """Counts a call that has come whole. One that is on its way holds no place: its bytes are what is counted.

        Raises:
            OverloadedError: If as many as may be are under way already, of this caller or at all.
        """
        self._admission.take(call.caller, long=call.long)
        call.admitted = True

    @staticmethod
    def _tell(call: Call, code: str, seconds: float) -> None:
        number, times = metrics.ended(call.rpc, call.protocol, code)
        number.inc()
        times.observe(seconds)
        level = logging.ERROR if code in ("INTERNAL", "DATA_LOSS") else logging.INFO
        if logger.isEnabledFor(level):
            extra = {
                "rpc": call.rpc,
                "protocol": call.protocol,
                "code": code,
                "ms": round(seconds * 1e3, 2),
                "request_id": call.request_id,
                **call.facts,
            }
            logger.log(level, "call", extra=extra)


def request_id(given: str | None) -> str:
    """The caller's request id if it is one (up to 128 visible ASCII characters), else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
