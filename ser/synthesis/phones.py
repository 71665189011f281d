"""What is said: speech sounds as settings of a formant synthesiser, and nonsense sentences made of them.

Formants and noises are near those of Klatt (1980), J. Acoust. Soc. Am. 67(3), of a man; durations are middling
ones of read speech (Klatt, 1976). The sentences mean nothing, like those that the actors of Banse and Scherer
(1996) spoke: what carries the emotion is the voice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Segment:
    """A stretch in which the vocal tract heads for one target."""

    seconds: float
    """Duration at a middling speaking rate."""
    formants_hz: tuple[float, float, float]
    """Targets of the first three formants."""
    voicing: float = 0.0
    """Strength of the glottal pulses, 1 in a vowel."""
    frication: float = 0.0
    """Strength of noise made at a constriction, 1 in a loud sibilant."""
    frication_hz: float = 4000.0
    """Centre of that noise."""
    aspiration: float = 0.0
    """Strength of noise made at the glottis, 1 in an h; breathiness comes on top."""


Phone = tuple[Segment, ...]

SCHWA_HZ = (500.0, 1500.0, 2500.0)
"""Formants of the neutral tract, which slurred vowels drift towards."""
PAUSE = Segment(0.14, SCHWA_HZ)
"""Silence between two words."""


def _voiced(seconds: float, voicing: float, *formants_hz: float) -> Phone:
    f1, f2, f3 = formants_hz
    return (Segment(seconds, (f1, f2, f3), voicing),)


def _fricative(frication: float, frication_hz: float, voicing: float, *formants_hz: float) -> Phone:
    f1, f2, f3 = formants_hz
    return (Segment(0.09 - 0.03 * voicing, (f1, f2, f3), voicing, frication, frication_hz),)


def _stop(burst: float, burst_hz: float, voiced: bool, *formants_hz: float) -> Phone:
    f1, f2, f3 = formants_hz
    locus = (f1, f2, f3)
    if voiced:
        return Segment(0.05, locus, 0.12), Segment(0.012, locus, 0.3, burst, burst_hz)
    # The breath between burst and voice is what tells p from b (Lisker and Abramson, 1964).
    release = Segment(0.035, locus, 0.0, 0.15 * burst, burst_hz, 0.7)
    return Segment(0.06, locus), Segment(0.012, locus, 0.0, burst, burst_hz), release


PHONES: Mapping[str, Phone] = MappingProxyType(
    {
        "a": _voiced(0.115, 1.0, 740, 1300, 2500),
        "e": _voiced(0.105, 1.0, 420, 2100, 2700),
        "i": _voiced(0.095, 0.9, 280, 2250, 2950),
        "o": _voiced(0.110, 1.0, 450, 800, 2450),
        "u": _voiced(0.100, 0.9, 310, 850, 2300),
        "@": _voiced(0.065, 0.8, *SCHWA_HZ),
        "m": _voiced(0.070, 0.45, 270, 1150, 2150),
        "n": _voiced(0.065, 0.45, 270, 1450, 2500),
        "l": _voiced(0.060, 0.60, 330, 1050, 2800),
        "r": _voiced(0.055, 0.50, 480, 1150, 2300),
        "j": _voiced(0.060, 0.60, 260, 2100, 3000),
        "v": _fricative(0.06, 6500, 0.5, 250, 1100, 2100),
        "z": _fricative(0.25, 6000, 0.4, 250, 1400, 2550),
        "f": _fricative(0.15, 6500, 0.0, 340, 1100, 2100),
        "s": _fricative(0.80, 6200, 0.0, 320, 1400, 2550),
        "S": _fricative(0.90, 3000, 0.0, 300, 1800, 2700),
        "h": (Segment(0.055, SCHWA_HZ, aspiration=1.0),),
        "b": _stop(0.3, 1000, True, 220, 1000, 2150),
        "d": _stop(0.5, 4000, True, 220, 1650, 2600),
        "g": _stop(0.5, 2000, True, 220, 1950, 2800),
        "p": _stop(0.4, 1000, False, 300, 1000, 2150),
        "t": _stop(0.8, 4000, False, 300, 1650, 2600),
        "k": _stop(0.7, 2000, False, 300, 1950, 2800),
    }
)
"""Speech sounds by their sign in SAMPA, the phonetic alphabet for keyboards."""
VOWELS = frozenset("aeiou")
"""The signs of sounds that can bear an accent; schwa cannot."""

TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "a01": "d@ lomab fenik uSat",
        "a02": "vas Silu tam@ gobedi",
        "a04": "hoit@ nab@l kumi zelot",
        "a05": "dis pavek Sul@m onita reb",
        "a07": "in zibo Sund@ vela zait",
        "b01": "vos ind@n tufa midaS geb@l",
        "b02": "zi hab@t ragu jet mon@le",
        "b03": "am boken@d rin juma fase hul@",
        "b09": "iS vil@ debag ronim tak@",
        "b10": "de virta plos in evo laz@m",
    }
)
"""Sentences by EmoDB's numbers. The first full vowel of a word bears its accent, as mostly in German."""
