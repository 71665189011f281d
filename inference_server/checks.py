"""What a request must have, whatever there is: looked at before anything is done, every wrong field named at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.protobuf.message import Message

from ser.bundles.model_store import check_model_id
from ser.errors import ConfigError, FieldViolation
from ser.speakers.enrolment import check_speaker
from ser_api.v1 import ser_pb2

MAX_PAGE_SIZE = 1_000
_MISSING = "mandatory, and missing"
_MANDATORY = ("model_id", "job_id", "speaker", "clips")
"""Fields that a request cannot do without, where it has them. In a prediction only the model is; see `_prediction`."""


def check(request: Message, *, at: str = "") -> None:
    """Refuses a request that would be wrong with any model and any job.

    Args:
        request: Of an RPC, or the configuration of a stream.
        at: The field that it came in.

    Raises:
        ConfigError: If a field is missing or out of its range; a violation for each.
    """
    if found := list(_violations(request)):
        raise ConfigError([FieldViolation(f"{at}.{one.field}" if at else one.field, one.description) for one in found])


class Gathered:
    """Errors of several checks, as one: `with` holds back what a check raises, `end` raises it all."""

    def __init__(self) -> None:
        self._violations: list[FieldViolation] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, ConfigError):
            self._violations += error.violations
            return True
        return False

    def end(self) -> None:
        """Raises what was held back.

        Raises:
            ConfigError: If there is anything.
        """
        if self._violations:
            raise ConfigError(self._violations)


def page_size(request: ser_pb2.ListTrainingJobsRequest | ser_pb2.ListSpeakersRequest) -> int:
    """How many entries a page shall have."""
    return request.page_size if request.HasField("page_size") else 100


def _violations(request: Any) -> Iterator[FieldViolation]:
    fields, mandatory = _fields(request.DESCRIPTOR)
    for name in mandatory:
        if not getattr(request, name):
            yield FieldViolation(name, _MISSING)
    if "model_id" in fields and request.model_id:
        yield from _of(lambda: check_model_id(request.model_id))
    if "speaker" in mandatory and request.speaker:
        yield from _of(lambda: check_speaker(request.speaker))
    if "page_size" in fields and not 1 <= page_size(request) <= MAX_PAGE_SIZE:
        yield FieldViolation("page_size", f"expected 1 to {MAX_PAGE_SIZE}, got {request.page_size}")
    if isinstance(request, ser_pb2.ListTrainingJobsRequest):
        token = request.page_token
        if token and not (token.isascii() and token.isdigit() and len(token) < 19):
            yield FieldViolation("page_token", f"expected the next_page_token of an answer, got {token[:100]!r}")
    if isinstance(request, ser_pb2.PredictRequest):
        yield from _prediction(request)


@functools.cache
def _fields(descriptor: Any) -> tuple[frozenset[str], tuple[str, ...]]:
    """The names of a request's fields, and of those that it cannot do without."""
    fields = frozenset(field.name for field in descriptor.fields)
    of_prediction = "enrollment_clips" in fields
    return fields, tuple(name for name in _MANDATORY if name in fields and (name == "model_id" or not of_prediction))


def _of(check_one: Callable[[], object]) -> Sequence[FieldViolation]:
    try:
        check_one()
    except ConfigError as error:
        return error.violations
    return ()


def _prediction(request: ser_pb2.PredictRequest) -> Iterator[FieldViolation]:
    given = [name for name in ("sample_name", "audio", "clips") if getattr(request, name)]
    if len(given) != 1:
        came = " and ".join(given) or "none of them"
        expected = f"expected one of sample_name, audio and clips, got {came}"
        yield FieldViolation(given[1] if given else "audio", expected)
    elif given != ["audio"]:
        for name in ("speaker", "gender", "text"):
            if getattr(request, name):
                yield FieldViolation(name, f"expected only with audio, came with {given[0]}")
    yield from _adaptation(request, given)
    if not 0 <= request.uncertain_below <= 1:
        yield FieldViolation("uncertain_below", f"expected 0 to 1, got {request.uncertain_below:g}")


def _adaptation(request: ser_pb2.PredictRequest, given: Sequence[str]) -> Iterator[FieldViolation]:
    """What is wrong with what the model is to adapt to; `given` is what is to be predicted."""
    asked = [("enrollment_clips", ["audio", "clips"])] if request.enrollment_clips else []
    asked += [("adapt", ["clips"])] if request.adapt else []
    for field, expected in asked:
        if len(given) == 1 and given[0] not in expected:
            yield FieldViolation(field, f"expected only with {' or '.join(expected)}, came with {given[0]}")
        elif len(speakers := {clip.speaker for clip in request.clips}) > 1:
            yield FieldViolation(field, f"expected clips of one speaker, they name {len(speakers)}")
