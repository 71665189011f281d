"""Small sets of scored samples that several test files measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ser.evaluation import ScoredSamples

EMOTIONS = ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")


def by_hand(**changes: object) -> ScoredSamples:
    """Six samples of three classes: 4 of 6 right, few enough to compute every figure on paper."""
    fields: dict[str, object] = {
        "names": ("1.wav", "2.wav", "3.wav", "4.wav", "5.wav", "6.wav"),
        "speakers": ("x", "x", "x", "y", "y", "y"),
        "genders": ("male", "female", "male", "female", "male", "female"),
        "labels": ("a", "a", "a", "b", "b", "c"),
        "classes": ("a", "b", "c"),
        "probabilities": np.array(
            [
                [0.8, 0.1, 0.1],
                [0.6, 0.3, 0.1],
                [0.3, 0.6, 0.1],
                [0.2, 0.7, 0.1],
                [0.05, 0.0, 0.95],
                [0.1, 0.2, 0.7],
            ],
            dtype=np.float32,
        ),
    }
    return ScoredSamples(**(fields | changes))  # type: ignore[arg-type]


def random_samples(
    count: int,
    classes: Sequence[str] = EMOTIONS,
    *,
    seed: int = 0,
    speakers: Sequence[str] = ("03", "08", "09", "10"),
    absent: Sequence[str] = (),
    skill: float = 1.5,
) -> ScoredSamples:
    """Samples with labels in turn and probabilities that lean to the truth by `skill`."""
    generator = np.random.default_rng(seed)
    occurring = [label for label in classes if label not in absent]
    labels = tuple(occurring[number % len(occurring)] for number in range(count))
    logits = generator.normal(size=(count, len(classes)))
    logits[np.arange(count), [list(classes).index(label) for label in labels]] += skill
    powers = np.exp(logits)
    who = tuple(speakers[number] for number in generator.integers(len(speakers), size=count))
    return ScoredSamples(
        names=tuple(f"{speaker}-{number}.wav" for number, speaker in enumerate(who)),
        speakers=who,
        genders=tuple("female" if speakers.index(speaker) % 2 else "male" for speaker in who),
        labels=labels,
        classes=tuple(classes),
        probabilities=(powers / powers.sum(axis=1, keepdims=True)).astype(np.float32),
    )
