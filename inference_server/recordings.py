"""Recordings as calls bring them: within the server's limits, in the loop or in the thread, errors by field."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Self

from ser.audio.recordings import SAMPLE_RATE_HZ, Samples, decode, header_of, wave_header
from ser.errors import AudioError, ConfigError, FieldViolation, LimitError
from ser.features import About
from ser.predictor import Prediction, Predictor
from ser.speakers.statistics import SpeakerStatistics, together
from ser_api.v1 import ser_pb2
from ser_inference_server import convert, metrics
from ser_inference_server.calls import Call
from ser_inference_server.cost import LOOP_SECONDS, Cost
from ser_inference_server.models import ServedModel
from ser_inference_server.settings import Settings
from ser_inference_server.threads import Threads


@dataclass(frozen=True)
class Sound:
    """One recording of a call. Its bytes are taken out of the message once: each time is another copy."""

    audio: bytes
    field: str
    """What it is called in errors."""
    name: str
    """What the caller calls it; empty if nothing."""
    about: About

    @classmethod
    def of(cls, clip: ser_pb2.Clip, field: str) -> Self:
        """What a message brings."""
        return cls(clip.audio, field, clip.name, convert.about(clip))


class Recordings:
    """Predicts recordings, and hears their speakers."""

    def __init__(self, settings: Settings, threads: Threads) -> None:
        self._settings = settings
        self._threads = threads
        self._alone = settings.max_audio_seconds <= settings.max_call_audio_seconds

    def check_number(self, clips: Sequence[object], field: str) -> None:
        """Refuses more recordings than one call may bring.

        Raises:
            LimitError: If there are more.
        """
        limit = self._settings.max_clips
        if len(clips) > limit:
            raise LimitError(f"{field}: expected at most {limit} in one call (SER_MAX_CLIPS), got {len(clips)}")

    async def listen(
        self, clips: Sequence[bytes], field: str, model: ServedModel, call: Call, *, of_each: str = ""
    ) -> SpeakerStatistics | None:
        """What recordings of one speaker tell of the voice; None if there are none.

        Args:
            clips: The recordings' bytes.
            field: The list that they came in, for errors.
            model: Who listens.
            call: The call that they came by.
            of_each: What follows the number in the field's name.

        Raises:
            ConfigError: If one cannot be decoded, or holds nothing to analyse.
            LimitError: If there are too many, one is too long, or all together are.
            UnsupportedError: If the model does not adapt to speakers.
            DeadlineError: If nobody waits any more.
        """
        self.check_number(clips, field)
        fields = [f"{field}[{number}]{of_each}" for number in range(len(clips))]

        def work() -> SpeakerStatistics:
            self._check_sum(clips, fields, call)
            heard = [
                model.predictor.listen(self._decode(clip, name, call), check=call.check)
                for clip, name in zip(clips, fields, strict=True)
            ]
            return reduce(add, heard)

        return await self._threads.compute(work, call) if clips else None

    async def predict(
        self, sounds: Sequence[Sound], model: ServedModel, heard: SpeakerStatistics | None, call: Call
    ) -> list[Prediction]:
        """The emotions of recordings, in the event loop if they are known to take no longer than it may be held up.

        Args:
            sounds: The recordings.
            model: The model.
            heard: What is known of who speaks in all of them, besides what the model knows.
            call: The call that they came by.

        Raises:
            SerError: As of `listen`.
        """
        known = await self._known(sounds, model, call)
        cost = sum(_cost(sound.audio, model.cost) for sound in sounds)

        def work() -> list[Prediction]:
            started = time.thread_time()
            self._check_sum([sound.audio for sound in sounds], [sound.field for sound in sounds], call)
            predictions = [
                self._one(sound, model.predictor, together(known.get(sound.about.speaker), heard), call)
                for sound in sounds
            ]
            model.cost.learn(cost, time.thread_time() - started)
            return predictions

        return work() if cost <= LOOP_SECONDS else await self._threads.compute(work, call)

    async def _known(
        self, sounds: Sequence[Sound], model: ServedModel, call: Call
    ) -> dict[str | None, SpeakerStatistics | None]:
        """What is known of the speakers: read here, so that whatever computes reads no file."""
        predictor = model.predictor
        if not predictor.bundle.adapts:
            return {}
        names = {sound.about.speaker for sound in sounds if sound.about.speaker}
        if not names:
            return {}
        return await self._threads.files(lambda: {name: predictor.known(name) for name in names}, call, model.words)

    def _check_sum(self, clips: Sequence[bytes], fields: Sequence[str], call: Call) -> None:
        """Refuses more sound than a call may bring, by what the headers say, before any is decoded."""
        if len(clips) == 1 and not call.audio_seconds and self._alone:
            return  # decoding looks at its header anyway
        claimed = call.audio_seconds
        for clip, field in zip(clips, fields, strict=True):
            call.check()
            with _errors_of(field):
                claimed += header_of(clip, name=field).seconds
        self._check_seconds(claimed)

    def _check_seconds(self, seconds: float) -> None:
        limit = self._settings.max_call_audio_seconds
        if seconds > limit:
            expected = f"expected at most {limit:g} s of sound in one call (SER_MAX_CALL_AUDIO_SECONDS)"
            raise LimitError(f"{expected}, got {seconds:.1f} s")

    def _decode(self, clip: bytes, field: str, call: Call) -> Samples:
        call.check()
        with _errors_of(field):
            recording = decode(clip, name=field, max_seconds=self._settings.max_audio_seconds, check=call.check)
        call.audio_seconds += recording.seconds
        self._check_seconds(call.audio_seconds)
        return recording.samples

    def _one(self, sound: Sound, predictor: Predictor, speaker: SpeakerStatistics | None, call: Call) -> Prediction:
        samples = self._decode(sound.audio, sound.field, call)
        name = sound.name or sound.field
        prediction = predictor.predict_samples(samples, about=sound.about, name=name, speaker=speaker, check=call.check)
        metrics.AUDIO_SECONDS.inc(len(samples) / SAMPLE_RATE_HZ)
        return prediction


def _cost(clip: bytes, cost: Cost) -> float:
    try:
        return cost.of(wave_header(clip))
    except AudioError:
        return 0.0  # refused at once


@contextlib.contextmanager
def _errors_of(field: str) -> Iterator[None]:
    """Gives what is wrong with a recording the name of its field."""
    try:
        yield
    except AudioError as error:
        raise ConfigError([FieldViolation(field, str(error).removeprefix(f"{field}: "))]) from None
    except LimitError as error:
        raise LimitError(f"{error} (SER_MAX_AUDIO_SECONDS)") from None
