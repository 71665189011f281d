"""Who speaks and how: speakers, emotions, and the delivery that one clip draws from both.

What an emotion does to the voice follows the literature, where it mostly agrees on the directions:

    Murray and Arnott (1993), J. Acoust. Soc. Am. 93(2): pitch, range, rate, loudness, voice quality
    Banse and Scherer (1996), J. Pers. Soc. Psychol. 70(3): measured on portrayals by actors
    Burkhardt and Sendlmeier (2000), ISCA Workshop on Speech and Emotion: tried in a formant synthesiser
    Scherer (2003), Speech Communication 40, and Juslin and Laukka (2003), Psychol. Bull. 129(5): reviews

How far it goes is this project's choice: so far that a small model mistakes about as many clips as it does of
acted speech, and the same ones. What is near in arousal is near here: happiness to anger, boredom to sadness.
The studies agree least on disgust; its tight, noisy throat is Scherer's (1986), Psychol. Bull. 99(2), prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np


@dataclass(frozen=True)
class Speaker:
    """A voice at rest."""

    clips: int
    """How many recordings EmoDB has of the speaker: the weight in a plan."""
    pitch_hz: float
    """Middle of the pitch; on average 119 Hz for men, 207 Hz for women (Traunmüller and Eriksson, 1995)."""
    tract_scale: float
    """Factor on all formants, 1 for a vocal tract of 17.5 cm; about 1.15 for women (Fant, 1966)."""
    rd: float
    """Voice quality, see `Delivery.rd`."""
    breath_db: float
    """Aspiration noise, see `Delivery.breath_db`."""


SPEAKERS: Mapping[str, Speaker] = MappingProxyType(
    {
        "03": Speaker(49, 118.0, 1.00, 1.00, 0.0),  # male, 31
        "08": Speaker(58, 205.0, 1.14, 1.20, 1.5),  # female, 34
        "09": Speaker(43, 222.0, 1.18, 1.25, 2.0),  # female, 21
        "10": Speaker(38, 110.0, 0.97, 1.00, -0.5),  # male, 32
        "11": Speaker(55, 126.0, 1.02, 1.10, 0.5),  # male, 26
        "12": Speaker(35, 104.0, 0.96, 1.05, 0.0),  # male, 30
        "13": Speaker(61, 198.0, 1.13, 1.20, 1.0),  # female, 32
        "14": Speaker(69, 190.0, 1.11, 1.15, 1.0),  # female, 35
        "15": Speaker(56, 131.0, 1.03, 1.00, 0.0),  # male, 25
        "16": Speaker(71, 213.0, 1.16, 1.25, 1.5),  # female, 31
    }
)
"""EmoDB's speakers by number; gender and age are the corpus's, the voices are invented."""


@dataclass(frozen=True)
class Emotion:
    """How an emotion at full intensity differs from neutral speech."""

    clips: int
    """How many recordings EmoDB has of the emotion: the weight in a plan."""
    pitch_st: float = 0.0
    """Shift of the median pitch in semitones."""
    range_log2: float = 0.0
    """Doublings of the pitch movements."""
    ending_st: float = 0.0
    """Shift of the pitch at the end of the sentence in semitones: below 0 falls deeper than neutral."""
    rate_log2: float = 0.0
    """Doublings of the speaking rate."""
    pauses: float = 0.0
    """Shift of the probability of a pause between two words."""
    loudness_db: float = 0.0
    """Shift of the level in decibels."""
    stress_db: float = 0.0
    """Shift of how far accented syllables stand out, in decibels."""
    rd: float = 0.0
    """Shift of `Delivery.rd`: below 0 is tense with a bright spectrum, above 0 lax and dull."""
    breath_db: float = 0.0
    """Shift of the aspiration noise in decibels."""
    roughness_log2: float = 0.0
    """Doublings of jitter and shimmer."""
    clarity: float = 0.0
    """Shift of the size of the vowel space: above 0 articulates, below 0 slurs."""
    formants: float = 0.0
    """Relative shift of all formants: lips spread by a smile raise them (Tartter, 1980)."""
    openness: float = 0.0
    """Relative shift of the first formant, which rises with the opening of the jaw and with effort."""


EMOTIONS: Mapping[str, Emotion] = MappingProxyType(
    {
        "W": Emotion(  # anger: loud, high, wide, fast, tense, clear
            127, pitch_st=5.0, range_log2=0.8, ending_st=-1.0, rate_log2=0.15, pauses=-0.1, loudness_db=6.0,
            stress_db=4.0, rd=-0.55, breath_db=-4.0, roughness_log2=0.6, clarity=0.2, openness=0.18,
        ),
        "L": Emotion(  # boredom: low, flat, slow, lax
            81, pitch_st=-1.5, range_log2=-1.0, rate_log2=-0.3, pauses=0.15, loudness_db=-2.0,
            stress_db=-1.5, rd=0.25, breath_db=-2.0, clarity=-0.2,
        ),
        "E": Emotion(  # disgust: low, slow, grumbled, with a tight throat
            46, pitch_st=-1.0, range_log2=0.4, ending_st=-2.0, rate_log2=-0.3, pauses=0.2, loudness_db=-1.0,
            stress_db=2.0, rd=-0.3, breath_db=5.0, roughness_log2=1.5, formants=-0.08, openness=0.1,
        ),
        "A": Emotion(  # fear: very high, even, fast, breathy, trembling
            69, pitch_st=8.0, ending_st=2.0, rate_log2=0.35, loudness_db=1.0,
            stress_db=-1.0, rd=0.15, breath_db=7.0, roughness_log2=1.0, clarity=-0.1, formants=0.02,
        ),
        "F": Emotion(  # happiness: high, wide, lively, with a smile
            71, pitch_st=5.0, range_log2=0.8, ending_st=2.0, rate_log2=0.1, pauses=-0.1, loudness_db=4.0,
            stress_db=3.0, rd=-0.35, roughness_log2=0.1, clarity=0.1, formants=0.1, openness=0.03,
        ),
        "T": Emotion(  # sadness: low, flat, very slow, quiet, breathy, slurred
            62, pitch_st=-1.0, range_log2=-1.0, ending_st=-1.0, rate_log2=-0.45, pauses=0.3, loudness_db=-5.0,
            stress_db=-2.5, rd=1.1, breath_db=9.0, roughness_log2=0.5, clarity=-0.3, formants=-0.02,
            openness=-0.05,
        ),
        "N": Emotion(79),
    }
)  # fmt: skip
"""Emotions by EmoDB's letter."""

INTENSITY = (0.85, 1.35)
"""Range of the factor on all of an emotion's shifts that a clip draws."""


@dataclass(frozen=True)
class Delivery:
    """How one clip is spoken: speaker, emotion and chance together."""

    pitch_hz: float
    """Median fundamental frequency."""
    range_st: float
    """Height of a pitch accent in semitones."""
    ending_st: float
    """Movement of the pitch over the end of the sentence in semitones."""
    rate: float
    """Factor on the speaking rate."""
    pauses: float
    """Probability of a pause between two words, 0 to 1."""
    level_db: float
    """Level of the recording in decibels; 0 is a middling one."""
    stress_db: float
    """How far accented syllables stand out."""
    rd: float
    """Shape of the glottal pulse, 0.3 (tense) to 2.7 (lax): the Rd of Fant (1995), STL-QPSR 36(2-3)."""
    breath_db: float
    """Aspiration noise in decibels; 0 is a clear modal voice."""
    jitter: float
    """Standard deviation of a glottal period, relative to it."""
    shimmer: float
    """Standard deviation of a glottal pulse's strength, relative to it."""
    clarity: float
    """Factor on the vowels' distances from schwa."""
    tract_scale: float
    """Factor on all formants."""
    openness: float
    """Further factor on the first formant."""


def draw_delivery(speaker: Speaker, emotion: Emotion, rng: np.random.Generator) -> Delivery:
    """Draws how a speaker delivers one clip in an emotion.

    All settings spread around those of speaker and emotion, so that single clips can be mistaken. The standard
    deviations are, with `INTENSITY`, the handle on how hard the corpus is.
    """
    intensity = rng.uniform(*INTENSITY)

    def draw(shift: float, deviation: float) -> float:
        return float(rng.normal(intensity * shift, deviation))

    roughness = 2.0 ** draw(emotion.roughness_log2, 0.4)
    return Delivery(
        pitch_hz=speaker.pitch_hz * 2.0 ** (draw(emotion.pitch_st, 1.5) / 12.0),
        range_st=3.0 * 2.0 ** draw(emotion.range_log2, 0.3),
        ending_st=-3.0 + draw(emotion.ending_st, 1.0),
        rate=2.0 ** draw(emotion.rate_log2, 0.1),
        pauses=min(max(0.2 + draw(emotion.pauses, 0.05), 0.0), 1.0),
        # Recording levels differ more than voices do: loudness alone must not tell the emotion.
        level_db=draw(emotion.loudness_db, 5.0),
        stress_db=4.0 + draw(emotion.stress_db, 1.0),
        rd=min(max(speaker.rd + draw(emotion.rd, 0.1), 0.35), 2.6),
        breath_db=speaker.breath_db + draw(emotion.breath_db, 1.5),
        jitter=0.006 * roughness,
        shimmer=0.04 * roughness,
        clarity=max(1.0 + draw(emotion.clarity, 0.05), 0.3),
        tract_scale=speaker.tract_scale * (1.0 + draw(emotion.formants, 0.01)),
        openness=1.0 + draw(emotion.openness, 0.02),
    )
