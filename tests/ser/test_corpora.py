from __future__ import annotations

import pytest

from ser.corpora.base import Utterance, identify
from ser.corpora.emodb import EmoDB
from ser.errors import CorpusError


@pytest.mark.parametrize(
    ("path", "utterance"),
    [
        ("wav/03a01Fa.wav", Utterance("03", "male", "a01", "happiness")),
        ("files/wav/16b10Wb.wav", Utterance("16", "female", "b10", "anger")),
        ("08a02La.flac", Utterance("08", "female", "a02", "boredom")),
        ("09a04Ea.wav", Utterance("09", "female", "a04", "disgust")),
        ("10a05Aa.wav", Utterance("10", "male", "a05", "fear")),
        ("11b09Td.wav", Utterance("11", "male", "b09", "sadness")),
        ("12b03Nc.wav", Utterance("12", "male", "b03", "neutral")),
    ],
)
def test_emodb_s_names_say_speaker_gender_text_and_emotion(path: str, utterance: Utterance) -> None:
    assert EmoDB().parse(path) == utterance


@pytest.mark.parametrize(
    "path", ["03a01Xa.wav", "99a01Fa.wav", "3a01Fa.wav", "03a01F.wav", "x03a01Fa.wav", "03c01Fa.wav"]
)
def test_other_names_are_not_emodb_s(path: str) -> None:
    assert EmoDB().parse(path) is None


def test_a_set_of_files_is_identified_by_its_names() -> None:
    name, utterances = identify(["wav/03a01Fa.wav", "wav/08a02La.wav"])
    assert name == "EmoDB"
    assert [utterance.emotion for utterance in utterances] == ["happiness", "boredom"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "found no audio inside"),
        (["take 1.wav"], "follow no known corpus, as 'take 1.wav'; known: EmoDB"),
        (["03a01Fa.wav", "take 1.wav"], "1 of 2 audio files do not follow EmoDB's naming: take 1.wav"),
    ],
)
def test_what_is_no_corpus_is_refused(paths: list[str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        identify(paths)
