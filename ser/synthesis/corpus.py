"""Which clips there are, and the zip that holds them."""

from __future__ import annotations

import io
import itertools
import wave
import zipfile
from pathlib import Path
from string import ascii_lowercase

import numpy as np

from ser.progress import Progress, Reporter, silent
from ser.storage.files import partial
from ser.synthesis.phones import TEXTS
from ser.synthesis.prosody import EMOTIONS, SPEAKERS, draw_delivery
from ser.synthesis.utterance import move
from ser.synthesis.voice import SAMPLE_RATE_HZ, Samples, speak

MIN_CLIPS = 2 * len(EMOTIONS)
"""Fewest clips: two of each emotion, one to learn from and one to test."""
_VERSIONS = (*ascii_lowercase, *map("".join, itertools.product(ascii_lowercase, repeat=2)))
"""Ends of names: EmoDB's one letter, and two once those have run out."""
_ONE_LETTER = len(SPEAKERS) * len(TEXTS) * len(ascii_lowercase)
"""Names of an emotion that end in one letter."""
_NAMES = len(SPEAKERS) * len(TEXTS) * len(_VERSIONS)
"""All names of an emotion."""
MAX_CLIPS = len(EMOTIONS) * _NAMES
"""Most clips: names run out after every speaker has said every text in every emotion 702 times."""
CLIP_BYTES = 75_000
"""What a clip takes in the zip, on average."""

_OLDEST = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can tell; a fixed one keeps its bytes fixed


def synthesise_corpus(path: Path, *, clips: int = 300, seed: int = 0, report: Reporter = silent) -> None:
    """Writes a corpus of synthetic emotional speech as a zip, laid out like EmoDB.

    Members are `wav/03a01Fa.wav` (speaker 03, text a01, emotion F, version a; aa follows z): 16 kHz, mono,
    16-bit PCM, 1.2 to 3.5 s. Emotions and speakers are about as frequent as EmoDB's. Memory hardly grows with
    the number of clips.

    The same arguments give the same bytes on the same machine and library versions. A clip follows from seed
    and name alone, and a larger corpus holds every clip of a smaller one of the same seed.

    Args:
        path: The zip to write, whole or not at all; its folder is made if it is missing.
        clips: How many, from `MIN_CLIPS` (14) to `MAX_CLIPS` (491,400); each takes about 75 kB and 10 ms.
        seed: Any whole number from 0.
        report: Told of each clip, in stage "synthesise".

    Raises:
        ValueError: If `clips` or `seed` is out of range.
    """
    if not MIN_CLIPS <= clips <= MAX_CLIPS:
        raise ValueError(f"expected {MIN_CLIPS} to {MAX_CLIPS} clips, got {clips}")
    if seed < 0:
        raise ValueError(f"expected a seed of at least 0, got {seed}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for done, name in enumerate(plan(clips, seed), start=1):
                archive.writestr(_member(name), _wav(synthesise_clip(name, seed)))
                report(Progress("synthesise", done, clips, "clips"))
        temporary.replace(path)


def plan(clips: int, seed: int) -> list[str]:
    """Draws which clips a corpus has.

    Emotions are shared out by count; speakers come up by chance, weighted as EmoDB's. Of one emotion no pair
    of speaker and text comes a second time before all have come once.

    Returns:
        Names like `03a01Fa`, sorted.
    """
    names: list[str] = []
    for emotion, count in _shares(clips).items():
        of_emotion: list[str] = []
        for version in _VERSIONS:
            if len(of_emotion) < count:
                rng = np.random.default_rng([seed, ord(emotion), *version.encode()])
                of_emotion += (f"{pair}{emotion}{version}" for pair in _shuffled_pairs(rng))
        names += of_emotion[:count]
    return sorted(names)


def synthesise_clip(name: str, seed: int) -> Samples:
    """The clip of that name, as `03a01Fa`: float32, shape (n_samples,), at `SAMPLE_RATE_HZ`, within ±0.9."""
    rng = np.random.default_rng([seed, *name.encode()])
    delivery = draw_delivery(SPEAKERS[name[:2]], EMOTIONS[name[5]], rng)
    voice = speak(move(TEXTS[name[2:5]], delivery, rng), delivery, rng)
    return _record(voice, delivery.level_db, rng)


def _shares(clips: int) -> dict[str, int]:
    """Clips of each emotion: two, and the others one by one where most are lacking (Sainte-Laguë's method)."""
    shares = dict.fromkeys(EMOTIONS, 2)
    for given in range(MIN_CLIPS, clips):
        # No emotion begins with two letters before one letter has ended all names of every emotion.
        most = _ONE_LETTER if given < len(EMOTIONS) * _ONE_LETTER else _NAMES
        unfilled = [letter for letter in EMOTIONS if shares[letter] < most]
        shares[max(unfilled, key=lambda letter: EMOTIONS[letter].clips / (2 * shares[letter] + 1))] += 1
    return shares


def _shuffled_pairs(rng: np.random.Generator) -> list[str]:
    """Every pair of speaker and text, as `03a01`; speakers of more clips in EmoDB tend to come earlier."""
    pairs = [(speaker, text) for speaker in SPEAKERS for text in TEXTS]
    # Sorting by exponential waiting times samples by weight (Efraimidis and Spirakis, 2006).
    waiting = rng.exponential(1.0, len(pairs)) / [SPEAKERS[speaker].clips for speaker, _ in pairs]
    return ["".join(pairs[index]) for index in np.argsort(waiting)]


def _record(voice: Samples, level_db: float, rng: np.random.Generator) -> Samples:
    """Adds the hum and hiss of a quiet room and sets the level: 0 dB is a root mean square of 0.05."""
    # Relative to the voice: neither how noisy nor how loud a clip is may give the emotion away.
    noise_level = _root_mean_square(voice) * 10.0 ** (-rng.uniform(35.0, 50.0) / 20.0)
    spectrum = np.fft.rfft(rng.standard_normal(len(voice), dtype=np.float32))
    # From white to nearly pink, above 100 Hz.
    fall = -rng.uniform(0.0, 0.7)
    spectrum *= np.maximum(np.arange(len(spectrum), dtype=np.float32) / len(voice), 100 / SAMPLE_RATE_HZ) ** fall
    noise = np.fft.irfft(spectrum, n=len(voice)).astype(np.float32, copy=False)
    samples: Samples = voice + noise * np.float32(noise_level / _root_mean_square(noise))
    gain = 0.05 * 10.0 ** (level_db / 20.0) / _root_mean_square(samples)
    return samples * np.float32(min(gain, 0.9 / np.max(np.abs(samples))))


def _root_mean_square(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def _wav(samples: Samples) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.rint(samples * 32767.0).astype("<i2").tobytes())
    return buffer.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(f"wav/{name}.wav", date_time=_OLDEST)
    member.create_system = 3  # Unix, also on Windows: the permissions below mean something there only
    member.external_attr = 0o644 << 16
    return member
