"""Bearer tokens: who calls, and what that caller may do."""

from __future__ import annotations

import enum
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ser.errors import ForbiddenError
from ser_inference_server.failures import UnauthenticatedError

MAX_BYTES = 1 << 20
"""Largest file of tokens."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


class Right(enum.IntEnum):
    """What a token may do; a higher one has the lower ones."""

    PREDICT = 1
    """Use models: predict, and read what models say of themselves."""
    MANAGE = 2
    """Everything: train, delete, and whatever is about persons or about others' trainings."""


RIGHTS: Mapping[str, Right] = MappingProxyType(
    {
        "Predict": Right.PREDICT,
        "StreamPredict": Right.PREDICT,
        "ListModels": Right.PREDICT,
        "GetModel": Right.PREDICT,
        "GetReport": Right.PREDICT,
        "DeleteModel": Right.MANAGE,
        # Who is enrolled is data about persons; and an enrolment changes what all others are answered.
        "EnrollSpeaker": Right.MANAGE,
        "ListSpeakers": Right.MANAGE,
        "DeleteSpeaker": Right.MANAGE,
        # A training takes the machine for hours. Jobs tell from where others train, and into what.
        "Train": Right.MANAGE,
        "StartTraining": Right.MANAGE,
        "GetTrainingJob": Right.MANAGE,
        "ListTrainingJobs": Right.MANAGE,
        "CancelTrainingJob": Right.MANAGE,
        "WatchTrainingJob": Right.MANAGE,
    }
)
"""The right that each RPC wants."""
METRICS_RIGHT = Right.PREDICT
"""The right that `/metrics` wants: it counts calls and jobs, and names nobody."""


@dataclass(frozen=True)
class _Known:
    caller: str
    right: Right


class Tokens:
    """The tokens of a file, kept as digests."""

    def __init__(self, path: Path) -> None:
        """Reads a file of lines `TOKEN`, `TOKEN manage` or `TOKEN predict`; empty ones and those after `#` are skipped.

        Raises:
            ValueError: If a line is of another form; the message has its number, and nothing of what stands there.
            OSError: If the file cannot be read.
        """
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"expected at most {MAX_BYTES} bytes in {path}")
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, _Known] = {}
        for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), 1):
            words = line.split()
            if words and not words[0].startswith("#"):
                self._add(words, f"line {number} of {path}")
        if not self._known:
            raise ValueError(f"expected at least one token in {path}, a line each")

    def caller(self, authorization: str | None, right: Right) -> str:
        """Whom a header `authorization` shows, if that caller may do it.

        Found by a digest whose key nobody knows: how long that takes tells nothing of the tokens.

        Raises:
            UnauthenticatedError: If there is no token, or a wrong one.
            ForbiddenError: If it may not.
        """
        scheme, _, token = (authorization or "").partition(" ")
        given = token.strip().encode("utf-8", "surrogatepass") if scheme.lower() == "bearer" else b""
        known = self._known.get(self._digest(given))
        if known is None:
            what = "a wrong one" if given else "none"
            raise UnauthenticatedError(f"expected a bearer token (authorization: Bearer …), got {what}")
        if known.right < right:
            raise ForbiddenError(
                f"authorization: this wants a token with the right {right.name.lower()}, "
                f"yours has the right {known.right.name.lower()}"
            )
        return known.caller

    def _add(self, words: list[str], where: str) -> None:
        token, *rights = words
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"{where}: expected a token of at most 4096 visible ASCII characters")
        named = rights[0] if rights else Right.MANAGE.name.lower()
        if len(rights) > 1 or named.upper() not in Right.__members__ or named != named.lower():
            known = " or ".join(right.name.lower() for right in Right)
            raise ValueError(f"{where}: expected nothing behind the token but {known}")
        digest = self._digest(token.encode())
        if digest in self._known:
            raise ValueError(f"{where}: expected each token once, this one comes before")
        self._known[digest] = _Known(where, Right[named.upper()])

    def _digest(self, token: bytes) -> bytes:
        return hmac.digest(self._key, token, "sha256")
