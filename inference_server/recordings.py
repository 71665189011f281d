"""Recordings as calls bring them: within the server's limits, in the loop or in the thread, errors by field."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Protocol, TypeVar

from inference_server import convert, metrics
from inference_server.calls import Call
from inference_server.settings import Settings
from ser import audio
from ser.errors import AudioError, ConfigError, FieldViolation, LimitError
from ser.predictor import Prediction, Predictor
from ser.speakers import SpeakerStatistics
from ser.stores import is_address
from ser_api.v1 import ser_pb2

INLINE_BYTES = 256 << 10
"""Recordings up to this size are predicted at once, in a millisecond or a few; handing them to a thread and back costs
a tenth of that. Larger ones go to a thread, so that short calls need not wait for them."""
Result = TypeVar("Result")


class _InThread(Protocol):
    def __call__(self, work: Callable[[], Result]) -> Awaitable[Result]: ...


class Recordings:
    """Predicts recordings, and hears their speakers."""

    def __init__(self, settings: Settings, in_thread: _InThread) -> None:
        self._settings = settings
        self._in_thread = in_thread

    def check_number(self, clips: Sequence[object], field: str) -> None:
        """Refuses more recordings than one call may bring.

        Raises:
            LimitError: If there are more.
        """
        limit = self._settings.max_clips
        if len(clips) > limit:
            raise LimitError(f"{field}: expected at most {limit} in one call (SER_MAX_CLIPS), got {len(clips)}")

    async def listen(
        self, clips: Sequence[bytes], field: str, predictor: Predictor, call: Call
    ) -> SpeakerStatistics | None:
        """What recordings of one speaker tell of the voice; None if there are none.

        Raises:
            ConfigError: If one cannot be decoded, or holds nothing to analyse.
            LimitError: If there are too many, or one is too long.
            UnsupportedError: If the model does not adapt to speakers.
            DeadlineError: If nobody waits any more.
        """
        self.check_number(clips, field)

        def work() -> SpeakerStatistics:
            return reduce(add, [self._hear(clip, f"{field}[{n}]", predictor, call) for n, clip in enumerate(clips)])

        return await self._in_thread(work) if clips else None

    async def predict(
        self,
        clips: Sequence[ser_pb2.Clip],
        fields: Sequence[str],
        predictor: Predictor,
        heard: SpeakerStatistics | None,
        call: Call,
    ) -> list[Prediction]:
        """The emotions of recordings.

        Args:
            clips: The recordings.
            fields: What each is called in errors.
            predictor: The model.
            heard: What is known of who speaks in all of them, besides what the model knows.
            call: The call that they came by.

        Raises:
            SerError: As of `listen`.
        """

        def work() -> list[Prediction]:
            return [self._one(clip, field, predictor, heard, call) for clip, field in zip(clips, fields, strict=True)]

        # Lets calls that have come meanwhile be counted, and the first one be served first.
        await asyncio.sleep(0)
        asks_store = is_address(self._settings.model_root) and any(clip.speaker for clip in clips)
        if sum(len(clip.audio) for clip in clips) <= INLINE_BYTES and not asks_store:
            return work()
        return await self._in_thread(work)

    def _hear(self, clip: bytes, field: str, predictor: Predictor, call: Call) -> SpeakerStatistics:
        call.check()
        with _errors_of(field):
            samples = audio.decode(clip, name=field, max_seconds=self._settings.max_audio_seconds).samples
        return predictor.listen(samples)

    def _one(
        self, clip: ser_pb2.Clip, field: str, predictor: Predictor, heard: SpeakerStatistics | None, call: Call
    ) -> Prediction:
        call.check()
        with _errors_of(field):
            prediction = predictor.predict(
                clip.audio,
                about=convert.about(clip),
                enrollment_clips=heard or (),
                name=clip.name or field,
                max_seconds=self._settings.max_audio_seconds,
            )
        metrics.AUDIO_SECONDS.inc(prediction.pieces[-1].end_seconds)
        return prediction


@contextlib.contextmanager
def _errors_of(field: str) -> Iterator[None]:
    """Gives what is wrong with a recording the name of its field."""
    try:
        yield
    except AudioError as error:
        raise ConfigError([FieldViolation(field, str(error).removeprefix(f"{field}: "))]) from None
    except LimitError as error:
        raise LimitError(f"{field}: {str(error).removeprefix(f'{field}: ')} (SER_MAX_AUDIO_SECONDS)") from None
