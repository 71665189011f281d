from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from ser.errors import CorpusError
from ser.evaluation.split import Fold, Protocol, folds, speakers_unheard, validation_names
from ser.features.feature_set import Sample

COUNTS = {
    "anger": 127,
    "boredom": 81,
    "neutral": 79,
    "happiness": 71,
    "fear": 69,
    "sadness": 62,
    "disgust": 46,
}


def samples(counts: dict[str, int]) -> list[Sample]:
    return [
        Sample(f"{emotion}{number}.wav", "s", "female", "t", emotion, 1.0, 1)
        for emotion, count in counts.items()
        for number in range(count)
    ]


def test_a_tenth_of_each_emotion_is_held_out() -> None:
    held_out = Counter(name.rstrip("0123456789.wav") for name in validation_names(samples(COUNTS), 42))
    assert len(validation_names(samples(COUNTS), 42)) == 54
    for emotion, count in COUNTS.items():
        found = sum(number for prefix, number in held_out.items() if emotion.startswith(prefix))
        assert found == round(count / 10)


def test_the_seed_decides_and_the_order_of_the_files_does_not() -> None:
    corpus = samples(COUNTS)
    assert validation_names(corpus, 42) == validation_names(corpus[::-1], 42)
    assert validation_names(corpus, 42) != validation_names(corpus, 43)


def test_the_split_is_the_same_on_every_machine() -> None:
    assert validation_names(samples({"a": 12, "b": 12}), 0) == ("a11.wav", "b2.wav")


def test_a_small_class_still_has_a_file_on_each_side() -> None:
    held_out = validation_names(samples({"a": 2, "b": 3}), 0)
    assert Counter(name[0] for name in held_out) == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"a": 5, "b": 1}, r"two files of each emotion, got one of 'b' \(b0\.wav\)"),
        ({"a": 5}, "two emotions, got a"),
        ({}, "two emotions, got none"),
    ],
)
def test_what_cannot_be_split_is_refused(counts: dict[str, int], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        validation_names(samples(counts), 0)


GRID = [
    Sample(f"{speaker}{text}{emotion}.wav", speaker, "female", text, emotion, 1.0, 2)
    for speaker in ("s1", "s2", "s3")
    for text in ("t1", "t2")
    for emotion in ("anger", "sadness")
]
"""Three speakers, each of whom says two texts with two emotions."""


OF_TWO_CORPORA = [replace(sample, corpus="AB"[sample.speaker == "s3"]) for sample in GRID]


def test_a_corpus_is_left_out() -> None:
    found = folds(OF_TWO_CORPORA, Protocol.LOCO)
    assert [fold.name for fold in found] == ["corpus A", "corpus B"]
    assert {sample_of(name).speaker for name in found[0].test} == {"s1", "s2"}
    assert {sample_of(name).speaker for name in found[0].training} == {"s3"}


def sample_of(name: str) -> Sample:
    return next(sample for sample in GRID if sample.name == name)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_no_recording_is_on_both_sides_and_none_is_tested_twice(protocol: Protocol) -> None:
    corpus = OF_TWO_CORPORA if protocol is Protocol.LOCO else GRID
    found = folds(corpus, protocol, count=3, random_state=1)
    tested = [name for fold in found for name in fold.test]
    assert len(tested) == len(set(tested))
    if protocol is not Protocol.HOLDOUT:
        assert set(tested) == {sample.name for sample in corpus}
    for fold in found:
        assert fold.test
        assert not set(fold.test) & set(fold.training)
        assert list(fold.test) == sorted(fold.test)
        assert list(fold.training) == sorted(fold.training)
    assert found == folds(corpus[::-1], protocol, count=3, random_state=1)
    assert [fold.name for fold in found] == sorted({fold.name for fold in found})


@pytest.mark.parametrize(("protocol", "trait", "count"), [(Protocol.LOSO, "speaker", 3), (Protocol.LOTO, "text", 2)])
def test_what_is_left_out_is_on_the_test_side_alone(protocol: Protocol, trait: str, count: int) -> None:
    found = folds(GRID, protocol)
    assert len(found) == count
    for fold in found:
        (left_out,) = {getattr(sample_of(name), trait) for name in fold.test}
        assert fold.name == f"{trait} {left_out}"
        assert left_out not in {getattr(sample_of(name), trait) for name in fold.training}
        assert len(fold.test) + len(fold.training) == len(GRID)


def test_speaker_and_text_are_left_out_at_once() -> None:
    found = folds(GRID, Protocol.LOLO)
    assert [fold.name for fold in found][:2] == ["speaker s1, text t1", "speaker s1, text t2"]
    assert len(found) == 6
    assert found[0] == Fold(
        "speaker s1, text t1",
        ("s2t2anger.wav", "s2t2sadness.wav", "s3t2anger.wav", "s3t2sadness.wav"),
        ("s1t1anger.wav", "s1t1sadness.wav"),
    )


def test_holdout_is_the_split_of_a_training() -> None:
    (fold,) = folds(samples(COUNTS), Protocol.HOLDOUT, random_state=7)
    assert fold.test == validation_names(samples(COUNTS), 7)
    assert len(fold.training) + len(fold.test) == sum(COUNTS.values())


def only(**traits: str) -> list[Sample]:
    return [sample for sample in GRID if all(getattr(sample, trait) == value for trait, value in traits.items())]


NAMELESS = [*GRID, replace(GRID[0], name="x.wav", speaker="")]
ONE_SIDED = [*GRID, replace(GRID[0], name="x.wav", emotion="fear")]


@pytest.mark.parametrize(
    ("corpus", "protocol", "message"),
    [
        (only(speaker="s1"), Protocol.LOSO, "at least two values of speaker, got s1 alone"),
        (only(text="t1"), Protocol.LOTO, "at least two values of text, got t1 alone"),
        (only(text="t1"), Protocol.LOLO, "at least two values of text, got t1 alone"),
        (only(speaker="s1"), Protocol.LOLO, "at least two values of speaker, got s1 alone"),
        (GRID, Protocol.LOCO, "corpus of every recording, it is not known of 12 of 12, as s1t1anger.wav"),
        (NAMELESS, Protocol.LOSO, "speaker of every recording, it is not known of 1 of"),
        (ONE_SIDED, Protocol.LOSO, "speaker s1: expected .*every emotion to learn from, .*there are none of fear"),
        (ONE_SIDED, Protocol.LOLO, "speaker s1, text t1: .*there are none of fear"),
        (only(emotion="anger"), Protocol.LOSO, "two emotions, got anger"),
        (GRID, Protocol.KFOLD, "at least 10 files of each emotion, a fold each, got 6 of 'anger'"),
        ([], Protocol.LOSO, "two emotions, got none"),
    ],
)
def test_a_protocol_that_cannot_be_had_is_told(corpus: list[Sample], protocol: Protocol, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        folds(corpus, protocol)


def test_no_speaker_is_left_out_where_speakers_are_unknown() -> None:
    corpus = [replace(sample, speaker=speaker) for sample in samples({"a": 2, "b": 2}) for speaker in ("x", "unknown")]
    with pytest.raises(CorpusError, match="not known of 4 of 8, as a0.wav; a labels.csv with a column speaker"):
        folds(corpus, Protocol.LOSO)


# Nine speakers of very different size; only two of them are afraid, and those two are the largest.
UNEQUAL = [
    Sample(f"{speaker}-{number}-{emotion}.wav", speaker, "female", f"t{number % 3}", emotion, 1.0, 1)
    for speaker, count in zip("abcdefghi", (20, 18, 9, 7, 5, 4, 3, 2, 2), strict=True)
    for number in range(count)
    for emotion in ("anger", "joy", *(["fear"] if speaker in "ab" else []))
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [2, 3, 4, 9])
def test_groups_are_dealt_whole_and_evenly_and_every_emotion_is_learnt(count: int, seed: int) -> None:
    found = folds(UNEQUAL, Protocol.KFOLD, count=count, random_state=seed, group="speaker")
    assert found == folds(UNEQUAL[::-1], Protocol.KFOLD, count=count, random_state=seed, group="speaker")
    assert [fold.name for fold in found] == [f"fold {number + 1}" for number in range(count)]
    assert sorted(name for fold in found for name in fold.test) == sorted(sample.name for sample in UNEQUAL)
    sizes = []
    for fold in found:
        assert set(fold.test) | set(fold.training) == {sample.name for sample in UNEQUAL}
        assert not {name[0] for name in fold.test} & {name[0] for name in fold.training}
        assert {name.split("-")[2] for name in fold.training} == {"anger.wav", "joy.wav", "fear.wav"}
        sizes.append(len(fold.test))
    if count < 9:  # no fold is larger than the largest speaker, or an even share and what the last one adds
        assert max(sizes) <= max(60, len(UNEQUAL) / count + 18)


def test_two_groups_that_alone_have_an_emotion_are_not_dealt_to_one_fold() -> None:
    # By size alone, c and d would meet beside b: 8 | 4 + 2 + 2.
    corpus = [
        Sample(f"{speaker}{number}{emotion}", speaker, "female", "t", emotion, 1.0, 1)
        for speaker, emotions, count in (("a", "xy", 4), ("b", "xy", 2), ("c", "xz", 1), ("d", "yz", 1))
        for number in range(count)
        for emotion in emotions
    ]
    for seed in range(20):
        found = folds(corpus, Protocol.KFOLD, count=2, random_state=seed, group="speaker")
        assert all({"x", "y", "z"} == {name[-1] for name in fold.training} for fold in found)


def test_the_seed_decides_among_groups_of_one_size() -> None:
    corpus = [replace(one, name=f"{actor}-{one.name}", speaker=str(actor)) for actor in range(24) for one in GRID[:4]]

    def dealt(seed: int) -> set[frozenset[str]]:
        found = folds(corpus, Protocol.KFOLD, count=6, random_state=seed, group="speaker")
        assert {len(fold.test) for fold in found} == {16}
        return {frozenset(name.split("-")[0] for name in fold.test) for fold in found}

    assert dealt(1) == dealt(1)
    assert dealt(1) != dealt(2)


@pytest.mark.parametrize("group", ["speaker", "text", "gender", "corpus"])
def test_a_group_is_what_is_asked_for(group: str) -> None:
    corpus = [
        replace(one, gender=("female", "male")[one.speaker == "s1"], corpus="AB"[one.speaker == "s3"]) for one in GRID
    ]
    of = {sample.name: getattr(sample, group) for sample in corpus}
    for fold in folds(corpus, Protocol.KFOLD, count=2, group=group):
        assert not {of[name] for name in fold.test} & {of[name] for name in fold.training}


@pytest.mark.parametrize(
    ("corpus", "settings", "message"),
    [
        (GRID, {"count": 4, "group": "speaker"}, "at least 4 values of speaker, a fold each, got 3; ask for fewer"),
        (NAMELESS, {"count": 2, "group": "speaker"}, "speaker of every recording, it is not known of 1 of"),
        (ONE_SIDED, {"count": 2, "group": "speaker"}, "fold 1: .*every emotion to learn from, .*none of fear"),
        (only(emotion="anger"), {"count": 2, "group": "speaker"}, "two emotions, got anger"),
    ],
)
def test_groups_that_cannot_be_dealt_are_told(corpus: list[Sample], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        folds(corpus, Protocol.KFOLD, **settings)


@pytest.mark.parametrize("protocol", Protocol)
def test_speakers_were_sampled_where_none_was_heard(protocol: Protocol) -> None:
    expected = {"holdout": False, "kfold": False, "loso": True, "loto": False, "lolo": True, "loco": True}
    found = folds(OF_TWO_CORPORA, protocol, count=3)
    assert [speakers_unheard(OF_TWO_CORPORA, fold) for fold in found] == [expected[protocol.value]] * len(found)


def test_speakers_were_sampled_by_folds_of_speakers_and_not_where_they_are_unknown() -> None:
    by_speaker, by_text = (folds(GRID, Protocol.KFOLD, count=2, group=group) for group in ("speaker", "text"))
    assert all(speakers_unheard(GRID, fold) for fold in by_speaker)
    assert not any(speakers_unheard(GRID, fold) for fold in by_text)
    unknown = [replace(sample, speaker="A/unknown") if sample.corpus == "A" else sample for sample in OF_TWO_CORPORA]
    first, second = folds(unknown, Protocol.LOCO)
    assert not speakers_unheard(unknown, first)  # nobody knows how many voices are judged
    assert speakers_unheard(unknown, second)


def test_unknown_speakers_of_two_corpora_are_told() -> None:
    corpus = [replace(sample, speaker=f"{sample.corpus}/unknown") for sample in OF_TWO_CORPORA]
    for protocol, settings in ((Protocol.LOSO, {}), (Protocol.KFOLD, {"group": "speaker", "count": 2})):
        with pytest.raises(CorpusError, match="speaker of every recording, it is not known of 12 of 12"):
            folds(corpus, protocol, **settings)  # type: ignore[arg-type]
