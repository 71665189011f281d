"""Signals that never change, and the features that each extractor has always made of them.

    python -m tests.ser.features.extractors.golden     writes golden.npz anew

A model that is out there was trained on these numbers, and must never be fed others. They are made anew only together
with a step's format number (`ser/formats.py`) and a way to go on feeding old models what they learnt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.acoustics.views import derive
from ser.config import parse
from ser.features import EXTRACTORS, About

FILE = Path(__file__).with_name("golden.npz")
RATE_HZ = 16_000
ABOUT = (
    About(speaker="b", gender="female", text="2"),
    About(speaker="a", gender="male", text="10"),
    About(speaker="c", gender="female", text=None),
)
CONFIGS: dict[str, tuple[dict[str, Any], ...]] = {
    "MFCC": (
        {},
        {
            "num_cepstral": 20, "frame_length": 0.025, "frame_stride": 0.02, "num_filters": 26, "fft_length": 1024,
            "low_frequency": 60, "high_frequency": 7_000, "dc_elimination": False,
        },
    ),
    "SpeakerAndGenderAndTextType": ({}, {"gender": False}),
    "Functionals": ({},),
    "SpeechFrames": ({},),
}  # fmt: skip
Array = npt.NDArray[np.float32]


def signals() -> dict[str, Array]:
    """Two sounds of 0.8 s, by formulas alone: no generator of random numbers, which may change."""
    time = np.arange(round(0.8 * RATE_HZ)) / RATE_HZ
    # A voice of two syllables and a pause, silence around it.
    phase = 2 * np.pi * (130 * time + 25 * np.sin(2 * np.pi * 1.1 * time))
    loud = np.clip(np.sin(2 * np.pi * (time - 0.08) / 0.62), 0, 1) + 0.6 * np.clip(np.sin(9 * (time - 0.47)), 0, 1)
    loud[(time < 0.08) | (time > 0.74)] = 0
    formants = [
        np.exp(-(((k * 140 - 600) / 300) ** 2)) + 0.3 * np.exp(-(((k * 140 - 1_700) / 500) ** 2)) for k in range(1, 30)
    ]
    voice = 0.4 * loud * sum(height * np.sin(k * phase) for k, height in enumerate(formants, start=1))
    # A sweep in hiss of ten thousand numbers from the remainders of squares.
    hiss = (np.arange(len(time), dtype=np.int64) ** 2 * 7_919 + 104_729 * np.arange(len(time))) % 10_007 / 10_007 - 0.5
    sweep = 0.3 * np.sin(2 * np.pi * (80 * time + 3_500 * time**2)) + 0.05 * hiss
    return {"voice": voice.astype(np.float32), "sweep": sweep.astype(np.float32)}


def features() -> dict[str, Array]:
    """Name of extractor, number of config and of signal to the features."""
    found = {}
    for name, configs in CONFIGS.items():
        for number, config in enumerate(configs):
            kind = EXTRACTORS.get(name)
            extractor = kind.create(parse(kind.Config, config), ABOUT)
            for (title, samples), about in zip(signals().items(), ABOUT, strict=False):
                found[f"{name} {number} {title}"] = extractor.extract(samples[np.newaxis], [about])[0]
    # What the networks over frames, and the statistics of speakers, are fed.
    found["views"] = derive(found["SpeechFrames 0 voice"][np.newaxis])[0, ::3]
    return found


if __name__ == "__main__":
    np.savez_compressed(FILE, **features())  # type: ignore[arg-type]
