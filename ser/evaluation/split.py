"""Splits of recordings into training and test: by file, decided by the seed, the same on every machine.

holdout  a tenth of each emotion's files
kfold    every file is tested once, in folds stratified by emotion
loso     leave one speaker out
loto     leave one text out
lolo     leave one speaker and one text out at once
loco     leave one corpus out
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ser.corpora import UNKNOWN
from ser.errors import CorpusError
from ser.features.feature_set import Sample

VALIDATION_SHARE = 0.1
"""Part of each emotion's files that is held out."""


class Protocol(StrEnum):
    """How recordings are split into training and test."""

    HOLDOUT = "holdout"
    """One fold: the tenth of the files that a training with this seed holds out; speakers are on both sides."""
    KFOLD = "kfold"
    """Folds stratified by emotion, dealt by the seed; speakers are on both sides."""
    LOSO = "loso"
    """Leave one speaker out, a fold a speaker: what a voice that was never heard may expect."""
    LOTO = "loto"
    """Leave one text out, a fold a text: a sentence that was never heard, by speakers that were."""
    LOLO = "lolo"
    """Leave one speaker and one text out, a fold for each pair that occurs: tested is that speaker saying that text,
    learnt from is what shares neither with it; what shares one of the two is on neither side."""
    LOCO = "loco"
    """Leave one corpus out, a fold a corpus: other microphones, other actors, another language."""


UNHEARD_SPEAKERS = frozenset({Protocol.LOSO, Protocol.LOLO})
"""Protocols in which no speaker is on both sides, so that speakers, not files, are what was sampled."""


@dataclass(frozen=True)
class Fold:
    """One split: what is learnt from, and what is judged."""

    name: str
    """As "speaker 03"; a name a fold."""
    training: tuple[str, ...]
    """Names of the recordings that are learnt from, sorted."""
    test: tuple[str, ...]
    """Names of the recordings that are judged, sorted; none is in `training`."""


def validation_names(samples: Sequence[Sample], random_state: int) -> tuple[str, ...]:
    """The names of the held-out files, sorted.

    Of each emotion a tenth is held out, rounded, at least one. Which ones, a hash of seed and name decides:
    the same files on every machine and with every library version, in whatever order the corpus is listed.

    Args:
        samples: All files.
        random_state: The seed.

    Raises:
        CorpusError: If there are fewer than two emotions, or one has a single file: it could not be both
            learnt and tested.
    """
    by_emotion = _by_emotion(samples)
    held_out: list[str] = []
    for emotion, names in by_emotion.items():
        if len(names) < 2:
            raise CorpusError(
                f"expected at least two files of each emotion, got one of {emotion!r} ({names[0]}): "
                "it cannot be both learnt and tested"
            )
        held_out += _shuffled(names, random_state)[: max(1, round(VALIDATION_SHARE * len(names)))]
    return tuple(sorted(held_out))


def folds(
    samples: Sequence[Sample], protocol: Protocol, *, count: int = 10, random_state: int = 42
) -> tuple[Fold, ...]:
    """The folds of a protocol; no recording is tested twice, and all are but in `holdout`.

    Args:
        samples: All recordings.
        protocol: How they are split.
        count: How many folds; of kfold only.
        random_state: The seed; of holdout and kfold only.

    Returns:
        The folds, sorted by name.

    Raises:
        CorpusError: If the protocol cannot be had of this corpus: fewer than two emotions, speakers, texts or
            corpora, a speaker or text that is not known, an emotion with fewer files than there are folds, or a fold
            that would have nothing of an emotion to learn from.
    """
    match protocol:
        case Protocol.HOLDOUT:
            tests: Mapping[str, Sequence[str]] = {"holdout": validation_names(samples, random_state)}
        case Protocol.KFOLD:
            tests = _dealt(samples, count, random_state)
        case Protocol.LOSO:
            return _leaving_out(samples, {"speaker": _speaker})
        case Protocol.LOTO:
            return _leaving_out(samples, {"text": _text})
        case Protocol.LOLO:
            return _leaving_out(samples, {"speaker": _speaker, "text": _text})
        case Protocol.LOCO:
            return _leaving_out(samples, {"corpus": _corpus})
    everything = {sample.name for sample in samples}
    return _checked(
        samples, [Fold(name, _sorted(everything - set(test)), _sorted(test)) for name, test in tests.items()]
    )


def _speaker(sample: Sample) -> str:
    return sample.speaker


def _text(sample: Sample) -> str:
    return sample.text


def _corpus(sample: Sample) -> str:
    return sample.corpus


def _dealt(samples: Sequence[Sample], count: int, random_state: int) -> Mapping[str, Sequence[str]]:
    dealt: dict[str, list[str]] = defaultdict(list)
    width, turn = len(str(count)), 0
    for emotion, names in sorted(_by_emotion(samples).items()):
        if len(names) < count:
            raise CorpusError(
                f"expected at least {count} files of each emotion, a fold each, got {len(names)} of {emotion!r}"
            )
        for name in _shuffled(names, random_state):  # dealt like cards, so that folds differ by one file at most
            dealt[f"fold {turn % count + 1:0{width}d}"].append(name)
            turn += 1
    return dealt


def _leaving_out(samples: Sequence[Sample], traits: Mapping[str, Callable[[Sample], str]]) -> tuple[Fold, ...]:
    """A fold for each combination of traits that occurs: tested is what has all of them, learnt what has none."""
    _by_emotion(samples)
    for trait, of in traits.items():
        if unknown := [sample.name for sample in samples if of(sample) in ("", UNKNOWN)]:
            raise CorpusError(
                f"expected the {trait} of every recording, it is not known of {len(unknown)} of {len(samples)}, as "
                f"{unknown[0]}; a labels.csv with a column {trait} can tell it"
            )
        if len(values := sorted({of(sample) for sample in samples})) < 2:
            raise CorpusError(f"expected recordings of at least two values of {trait}, got {', '.join(values)} alone")
    tests: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for sample in samples:
        tests[tuple(of(sample) for of in traits.values())].append(sample.name)
    found = []
    for values_left_out, test in tests.items():
        left_out = dict(zip(traits, values_left_out, strict=True))
        learnt = [s.name for s in samples if all(of(s) != left_out[trait] for trait, of in traits.items())]
        name = ", ".join(f"{trait} {value}" for trait, value in left_out.items())
        found.append(Fold(name, _sorted(learnt), _sorted(test)))
    return _checked(samples, found)


def _checked(samples: Sequence[Sample], found: Sequence[Fold]) -> tuple[Fold, ...]:
    emotion_of = {sample.name: sample.emotion for sample in samples}
    emotions = set(emotion_of.values())
    for fold in found:
        if lacking := sorted(emotions - {emotion_of[name] for name in fold.training}):
            raise CorpusError(
                f"{fold.name}: expected recordings of every emotion to learn from, without it there are none of "
                f"{', '.join(lacking)}"
            )
    return tuple(sorted(found, key=lambda fold: fold.name))


def _by_emotion(samples: Sequence[Sample]) -> Mapping[str, list[str]]:
    by_emotion: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        by_emotion[sample.emotion].append(sample.name)
    if len(by_emotion) < 2:
        raise CorpusError(f"expected at least two emotions, got {', '.join(by_emotion) or 'none'}")
    return by_emotion


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def _shuffled(names: Sequence[str], random_state: int) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"{random_state}/{name}".encode()).digest())
