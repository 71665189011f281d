"""Splits of recordings into training and test: by file, decided by the seed, the same on every machine.

holdout  a tenth of each emotion's files
kfold    every file is tested once, in folds stratified by emotion, of whole groups, or as a file has them
loso     leave one speaker out
loto     leave one text out
lolo     leave one speaker and one text out at once
loco     leave one corpus out
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ser.corpora import is_unknown
from ser.corpora.folder import Clip
from ser.errors import CorpusError
from ser.evaluation.fold_file import FoldFile
from ser.evaluation.group_folds import deal_groups
from ser.features.feature_set import Sample

VALIDATION_SHARE = 0.1
"""Part of each emotion's files that is held out."""
TRAITS = ("speaker", "text", "gender", "corpus")
"""What may be known of a recording, and keep recordings together."""
Recording = Clip | Sample
"""What is split: clips of a corpus, before features are extracted, or the samples of a feature set."""


class Protocol(StrEnum):
    """How recordings are split into training and test."""

    HOLDOUT = "holdout"
    """One fold: the tenth of the files that a training with this seed holds out; speakers are on both sides."""
    KFOLD = "kfold"
    """Folds stratified by emotion, dealt by the seed, with speakers on both sides; or folds of whole groups, or as a
    file has them."""
    LOSO = "loso"
    """Leave one speaker out, a fold a speaker: what a voice that was never heard may expect."""
    LOTO = "loto"
    """Leave one text out, a fold a text: a sentence that was never heard, by speakers that were."""
    LOLO = "lolo"
    """Leave one speaker and one text out, a fold for each pair that occurs: tested is that speaker saying that text,
    learnt from is what shares neither with it; what shares one of the two is on neither side."""
    LOCO = "loco"
    """Leave one corpus out, a fold a corpus: other microphones, other actors, another language."""


@dataclass(frozen=True)
class Fold:
    """One split: what is learnt from, and what is judged."""

    name: str
    """As "speaker 03"; a name a fold."""
    training: tuple[str, ...]
    """Names of the recordings that are learnt from, sorted."""
    test: tuple[str, ...]
    """Names of the recordings that are judged, sorted; none is in `training`."""


def validation_names(samples: Sequence[Recording], random_state: int) -> tuple[str, ...]:
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
    samples: Sequence[Recording],
    protocol: Protocol,
    *,
    count: int = 10,
    random_state: int = 42,
    group: str = "",
    fold_file: FoldFile | None = None,
) -> tuple[Fold, ...]:
    """The folds of a protocol; no recording is tested twice, and all are but in `holdout` and those of a fold file.

    Args:
        samples: All recordings.
        protocol: How they are split.
        count: How many folds; of kfold only, where no file says it.
        random_state: The seed; of holdout and kfold only.
        group: Of kfold: what keeps recordings in one fold, one of `TRAITS` or a column of the fold file; empty deals
            single recordings.
        fold_file: Of kfold: the folds, or a table with the column `group`.

    Returns:
        The folds, sorted by name.

    Raises:
        CorpusError: If the protocol cannot be had of this corpus: fewer than two emotions, speakers, texts or
            corpora, a speaker or text that is not known, an emotion with fewer files than there are folds, fewer
            groups than folds, a fold that would have nothing of an emotion to learn from, or recordings that the fold
            file does not know.
    """
    match protocol:
        case Protocol.HOLDOUT:
            tests: Mapping[str, Sequence[str]] = {"holdout": validation_names(samples, random_state)}
        case Protocol.KFOLD if fold_file and not group:
            _by_emotion(samples)
            listed = fold_file.folds([sample.name for sample in samples])
            return _checked(samples, [Fold(*one) for one in listed])
        case Protocol.KFOLD if group:
            tests = _groups_dealt(samples, count, random_state, group, fold_file)
        case Protocol.KFOLD:
            tests = _dealt(samples, count, random_state)
        case Protocol.LOSO:
            return _leaving_out(samples, ("speaker",))
        case Protocol.LOTO:
            return _leaving_out(samples, ("text",))
        case Protocol.LOLO:
            return _leaving_out(samples, ("speaker", "text"))
        case Protocol.LOCO:
            return _leaving_out(samples, ("corpus",))
    everything = {sample.name for sample in samples}
    return _checked(
        samples, [Fold(name, _sorted(everything - set(test)), _sorted(test)) for name, test in tests.items()]
    )


def speakers_unheard(samples: Sequence[Recording], fold: Fold) -> bool:
    """Whether every speaker that is judged is known, and is none of those learnt from.

    Then speakers, not recordings, are what was sampled.
    """
    speaker_of = {sample.name: sample.speaker for sample in samples}
    judged, heard = ({speaker_of[name] for name in names} for names in (fold.test, fold.training))
    return judged.isdisjoint(heard) and not any(map(is_unknown, judged))


def _dealt(samples: Sequence[Recording], count: int, random_state: int) -> Mapping[str, Sequence[str]]:
    dealt: dict[str, list[str]] = defaultdict(list)
    turn = 0
    for emotion, names in sorted(_by_emotion(samples).items()):
        if len(names) < count:
            raise CorpusError(
                f"expected at least {count} files of each emotion, a fold each, got {len(names)} of {emotion!r}"
            )
        for name in _shuffled(names, random_state):  # dealt like cards, so that folds differ by one file at most
            dealt[_numbered(turn % count, count)].append(name)
            turn += 1
    return dealt


def _groups_dealt(
    samples: Sequence[Recording], count: int, random_state: int, group: str, fold_file: FoldFile | None
) -> Mapping[str, Sequence[str]]:
    _by_emotion(samples)
    if fold_file:
        group_of = fold_file.column(group, [sample.name for sample in samples])
    else:
        _check_known(samples, group)
        group_of = {sample.name: getattr(sample, group) for sample in samples}
    emotions: dict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        emotions[group_of[sample.name]][sample.emotion] += 1
    if len(emotions) < count:
        raise CorpusError(
            f"expected at least {count} values of {group}, a fold each, got {len(emotions)}; ask for fewer folds"
        )
    number_of = deal_groups(emotions, count, random_state)
    dealt: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        dealt[_numbered(number_of[group_of[sample.name]], count)].append(sample.name)
    return dealt


def _numbered(number: int, count: int) -> str:
    return f"fold {number + 1:0{len(str(count))}d}"


def _leaving_out(samples: Sequence[Recording], traits: Sequence[str]) -> tuple[Fold, ...]:
    """A fold for each combination of traits that occurs: tested is what has all of them, learnt what has none."""
    _by_emotion(samples)
    for trait in traits:
        _check_known(samples, trait)
        if len(values := sorted({getattr(sample, trait) for sample in samples})) < 2:
            raise CorpusError(f"expected recordings of at least two values of {trait}, got {', '.join(values)} alone")
    tests: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for sample in samples:
        tests[tuple(getattr(sample, trait) for trait in traits)].append(sample.name)
    found = []
    for values_left_out, test in tests.items():
        left_out = dict(zip(traits, values_left_out, strict=True))
        learnt = [s.name for s in samples if all(getattr(s, trait) != value for trait, value in left_out.items())]
        name = ", ".join(f"{trait} {value}" for trait, value in left_out.items())
        found.append(Fold(name, _sorted(learnt), _sorted(test)))
    return _checked(samples, found)


def _check_known(samples: Sequence[Recording], trait: str) -> None:
    if unknown := [sample.name for sample in samples if is_unknown(getattr(sample, trait))]:
        raise CorpusError(
            f"expected the {trait} of every recording, it is not known of {len(unknown)} of {len(samples)}, as "
            f"{unknown[0]}; a labels.csv with a column {trait} can tell it"
        )


def _checked(samples: Sequence[Recording], found: Sequence[Fold]) -> tuple[Fold, ...]:
    emotion_of = {sample.name: sample.emotion for sample in samples}
    emotions = set(emotion_of.values())
    for fold in found:
        if lacking := sorted(emotions - {emotion_of[name] for name in fold.training}):
            raise CorpusError(
                f"{fold.name}: expected recordings of every emotion to learn from, without it there are none of "
                f"{', '.join(lacking)}"
            )
    return tuple(sorted(found, key=lambda fold: fold.name))


def _by_emotion(samples: Sequence[Recording]) -> Mapping[str, list[str]]:
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
