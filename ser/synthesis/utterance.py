"""Sentence and delivery to movements: pitch, formants and strengths of the sources, 200 times a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ser.synthesis.phones import PAUSE, PHONES, SCHWA_HZ, VOWELS, Segment
from ser.synthesis.prosody import Delivery

FRAME_SECONDS = 0.005
"""Time between two frames of the movements; speech organs take about ten times as long."""
MIN_SECONDS = 1.25
"""Shortest utterance with the silence around it; EmoDB's shortest is 1.2 s."""
MAX_SECONDS = 3.5
"""Longest utterance with the silence around it; few of EmoDB's are longer."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Movements:
    """What the speech organs do; every array has one row a frame."""

    pitch_hz: Floats
    """float64, shape (n_frames,), 60 to 600: fundamental frequency, also where there is no voice."""
    formants_hz: Floats
    """float64, shape (n_frames, 3)."""
    voicing: Floats
    """float64, shape (n_frames,): strength of the glottal pulses, 1 in a middling vowel."""
    frication: Floats
    """float64, shape (n_frames,): strength of noise made at a constriction, 1 in a loud sibilant."""
    frication_hz: Floats
    """float64, shape (n_frames,): centre of that noise."""
    aspiration: Floats
    """float64, shape (n_frames,): strength of noise made at the glottis, 1 in an h, without breathiness."""


def move(text: str, delivery: Delivery, rng: np.random.Generator) -> Movements:
    """Plays a sentence.

    Args:
        text: Signs of `PHONES`; a space parts words.
        delivery: How it is spoken.
        rng: Draws durations, pauses, the heights of accents and the wavering of the pitch.

    Returns:
        Movements of `MIN_SECONDS` to `MAX_SECONDS`.
    """
    segments, accented = _segments(text, delivery, rng)
    seconds = np.array([segment.seconds for segment in segments])
    seconds *= np.clip(seconds.sum(), MIN_SECONDS, MAX_SECONDS) / seconds.sum()
    ends = np.rint(np.cumsum(seconds) / FRAME_SECONDS).astype(int)
    frames = np.diff(ends, prepend=0)

    def track(values: Sequence[float], smooth_seconds: float) -> Floats:
        return _smooth(np.repeat(np.asarray(values, dtype=np.float64), frames), smooth_seconds)

    formants_hz = SCHWA_HZ + delivery.clarity * (np.array([s.formants_hz for s in segments]) - SCHWA_HZ)
    formants_hz *= delivery.tract_scale * np.array([delivery.openness, 1.0, 1.0])
    accents = _accents((ends - frames / 2)[accented], ends[-1], delivery.rate, rng)
    stress = 10.0 ** (delivery.stress_db * accents / 20.0)
    return Movements(
        pitch_hz=_pitch_hz(accents, delivery, rng),
        formants_hz=np.stack([track(column, 0.07) for column in formants_hz.T], axis=1),
        voicing=stress * track([segment.voicing for segment in segments], 0.03),
        # A burst lasts 12 ms: smoothed as long as the others, it would be gone.
        frication=track([segment.frication for segment in segments], 0.01),
        frication_hz=track([segment.frication_hz * delivery.tract_scale for segment in segments], 0.0),
        aspiration=track([segment.aspiration for segment in segments], 0.02),
    )


def _segments(text: str, delivery: Delivery, rng: np.random.Generator) -> tuple[list[Segment], list[bool]]:
    """The segments of a sentence with silence around it, and which of them are accented."""
    segments, accented = [replace(PAUSE, seconds=rng.uniform(0.04, 0.15))], [False]
    words = text.split()
    for word in words:
        if word is not words[0] and rng.random() < delivery.pauses:
            segments.append(replace(PAUSE, seconds=PAUSE.seconds * rng.uniform(0.5, 1.5) / delivery.rate))
            accented.append(False)
        bearer = next((place for place, sign in enumerate(word) if sign in VOWELS), None)
        for place, sign in enumerate(word):
            # Accented sounds last longer, and so does the end of a sentence (Klatt, 1976).
            length = (1.15 if place == bearer else 1.0) * (1.2 if word is words[-1] else 1.0)
            length *= rng.normal(1.0, 0.08) / delivery.rate
            segments += (replace(segment, seconds=segment.seconds * length) for segment in PHONES[sign])
            accented += [place == bearer] * len(PHONES[sign])
    segments.append(replace(PAUSE, seconds=rng.uniform(0.06, 0.2)))
    return segments, [*accented, False]


def _accents(centres: Floats, n_frames: int, rate: float, rng: np.random.Generator) -> Floats:
    """How far each frame is accented: float64, shape (n_frames,), with mean 0 and peaks of about 1."""
    # Later accents are lower (Liberman and Pierrehumbert, 1984), and none is like the other.
    heights = (1.1 - 0.4 * centres / n_frames) * rng.normal(1.0, 0.25, len(centres))
    seconds = (np.arange(n_frames) - centres[:, np.newaxis]) * FRAME_SECONDS
    accents = np.sum(heights[:, np.newaxis] * np.exp(-0.5 * (seconds * rate / 0.075) ** 2), axis=0)
    centred: Floats = accents - np.mean(accents)
    return centred


def _pitch_hz(accents: Floats, delivery: Delivery, rng: np.random.Generator) -> Floats:
    """A falling line, accents upon it, an ending, and some wavering: float64, shape (n_frames,)."""
    n_frames = len(accents)
    line = np.linspace(0.4, -0.4, n_frames)
    ending = np.clip(1.0 - np.arange(n_frames)[::-1] * FRAME_SECONDS / 0.35, 0.0, 1.0)
    wavering = 2.0 * _smooth(rng.standard_normal(n_frames), 0.1)
    semitones = delivery.range_st * (accents + line) + delivery.ending_st * ending + wavering
    # Below 60 Hz a voice creaks, above 600 Hz it no longer speaks.
    pitch_hz: Floats = np.clip(delivery.pitch_hz * 2.0 ** (semitones / 12.0), 60.0, 600.0)
    return pitch_hz


def _smooth(values: Floats, seconds: float) -> Floats:
    """The moving average under a Hann window; the ends are held, 0 seconds leave all as it is."""
    reach = round(seconds / FRAME_SECONDS / 2)
    window = np.hanning(2 * reach + 3)[1:-1]
    averages: Floats = np.convolve(np.pad(values, reach, mode="edge"), window / window.sum(), mode="valid")
    return averages
