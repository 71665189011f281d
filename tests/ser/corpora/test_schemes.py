from __future__ import annotations

from pathlib import Path

import pytest

from ser.corpora.schemes.base import CORPORA, Evidence, Utterance, identify
from ser.corpora.schemes.crema_d import CremaD
from ser.corpora.schemes.emodb import EmoDB
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


def test_a_set_of_files_is_identified_by_its_names(tmp_path: Path) -> None:
    name, utterances = identify(tmp_path, ["wav/03a01Fa.wav", "wav/08a02La.wav"])
    assert name == "EmoDB"
    assert [utterance.emotion for utterance in utterances] == ["happiness", "boredom"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "found no audio inside"),
        (["take 1.wav"], "follow no known corpus, as 'take 1.wav'; known: .*EmoDB"),
        (["03a01Fa.wav", "take 1.wav"], "1 of 2 audio files do not follow EmoDB's naming: take 1.wav"),
        (["wav/take 1.wav", "wav/take 2.wav"], "follow no known corpus"),
        (["anger/1.wav", "fear/2.wav", "3.wav"], "1 of 3 audio files are in no folder that could be their label: 3"),
        # Song, and the sound of a video.
        (["03-01-06-01-02-01-12.wav", "03-02-06-01-02-01-12.wav"], "1 of 2 .* RAVDESS's naming: 03-02-06"),
        (["03-01-06-01-02-01-12.wav", "01-01-06-01-02-01-12.wav"], "1 of 2 .* RAVDESS's naming: 01-01-06"),
    ],
)
def test_what_is_no_corpus_is_refused(tmp_path: Path, paths: list[str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        identify(tmp_path, paths)


@pytest.mark.parametrize(
    ("corpus", "path", "utterance"),
    [
        ("RAVDESS", "Actor_12/03-01-06-01-02-01-12.wav", Utterance("12", "female", "02", "fear")),
        ("RAVDESS", "Actor_01/03-01-01-01-01-02-01.wav", Utterance("01", "male", "01", "neutral")),
        ("RAVDESS", "03-01-02-02-01-01-24.wav", Utterance("24", "female", "01", "calm")),
        ("SAVEE", "AudioData/DC/a01.wav", Utterance("DC", "male", "a01", "anger")),
        ("SAVEE", "KL_sa15.wav", Utterance("KL", "male", "sa15", "sadness")),
        ("SAVEE", "JE_su02.wav", Utterance("JE", "male", "su02", "surprise")),
        ("CREMA-D", "AudioWAV/1001_DFA_ANG_XX.wav", Utterance("1001", "male", "DFA", "anger")),
        ("CREMA-D", "1091_IEO_SAD_HI.wav", Utterance("1091", "female", "IEO", "sadness")),
        ("CREMA-D", "1040_ITH_SAD_X.wav", Utterance("1040", "male", "ITH", "sadness")),
        ("TESS", "OAF_angry/OAF_back_angry.wav", Utterance("OAF", "female", "back", "anger")),
        ("TESS", "YAF_back_ps.wav", Utterance("YAF", "female", "back", "surprise")),
        ("TESS", "OA_bite_neutral.wav", Utterance("OAF", "female", "bite", "neutral")),
        ("EMOVO", "f1/dis-f1-b1.wav", Utterance("f1", "female", "b1", "disgust")),
        ("EMOVO", "EMOVO/m3/gio-m3-n5.wav", Utterance("m3", "male", "n5", "happiness")),
        ("LabelFolders", "mine/anger/1.wav", Utterance("unknown", "unknown", "unknown", "anger")),
    ],
)
def test_a_scheme_says_speaker_gender_text_and_emotion(corpus: str, path: str, utterance: Utterance) -> None:
    assert CORPORA.get(corpus)().parse(path) == utterance


@pytest.mark.parametrize(
    ("corpus", "path"),
    [
        ("RAVDESS", "03-02-06-01-02-01-12.wav"),  # song
        ("RAVDESS", "02-01-06-01-02-01-12.mp3"),  # video
        ("RAVDESS", "03-01-09-01-02-01-12.wav"),
        ("RAVDESS", "03-01-06-01-02-01-25.wav"),
        ("RAVDESS", "03-01-06-01-02-01.wav"),
        ("SAVEE", "a01.wav"),
        ("SAVEE", "XX_a01.wav"),
        ("SAVEE", "DC_s01.wav"),
        ("CREMA-D", "1092_DFA_ANG_XX.wav"),
        ("CREMA-D", "1000_DFA_ANG_XX.wav"),
        ("CREMA-D", "1001_DFA_SUR_XX.wav"),
        ("TESS", "OAF_back_bored.wav"),
        ("TESS", "EAF_back_angry.wav"),
        ("EMOVO", "dis-f4-b1.wav"),
        ("EMOVO", "noi-f1-b1.wav"),
        ("LabelFolders", "1.wav"),
    ],
)
def test_other_names_are_not_a_scheme_s(corpus: str, path: str) -> None:
    assert CORPORA.get(corpus)().parse(path) is None


def test_no_name_belongs_to_two_schemes() -> None:
    names = ["03a01Fa", "03-01-06-01-02-01-12", "DC_a01", "1001_DFA_ANG_XX", "OAF_back_angry", "dis-f1-b1"]
    schemes = [CORPORA.get(name)() for name in CORPORA.names() if CORPORA.get(name).evidence is Evidence.NAMES]
    for name in names:
        assert sum(scheme.parse(f"{name}.wav") is not None for scheme in schemes) == 1, name


def test_crema_d_has_43_actresses_of_91_actors() -> None:
    genders = [CremaD().parse(f"{actor}_DFA_ANG_XX.wav") for actor in range(1001, 1092)]
    assert sum(utterance is not None and utterance.gender == "female" for utterance in genders) == 43
    assert sum(utterance is not None and utterance.gender == "male" for utterance in genders) == 48
