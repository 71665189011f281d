"""What the names of the files of each corpus say, as its own documentation has it: every label, speaker and gender.

Written down from the papers and the pages of the corpora, not from the code.
"""

from __future__ import annotations

import itertools

import pytest

from ser.corpora.schemes.base import CORPORA, Utterance

FEMALE, MALE = "female", "male"
# Burkhardt et al., 2005: speakers and their ages; Ärger/Wut, Langeweile, Ekel, Angst, Freude, Trauer.
EMODB_SPEAKERS = {
    "03": MALE,  # 31 years
    "08": FEMALE,  # 34
    "09": FEMALE,  # 21
    "10": MALE,  # 32
    "11": MALE,  # 26
    "12": MALE,  # 30
    "13": FEMALE,  # 32
    "14": FEMALE,  # 35
    "15": MALE,  # 25
    "16": FEMALE,  # 31
}
EMODB_EMOTIONS = {
    "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral",
}  # fmt: skip
EMODB_TEXTS = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
# Livingstone and Russo, 2018: "odd numbered actors are male, even numbered actors are female".
RAVDESS_EMOTIONS = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
# Haq and Jackson, 2009: four male speakers.
SAVEE_EMOTIONS = {
    "a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "sa": "sadness", "su": "surprise",
}  # fmt: skip
# Cao et al., 2014: VideoDemographics.csv, a letter an actor from 1001 on, ten a row.
CREMA_D_GENDERS = "MFFFMFFFFFMFFMMMMFMFFMMFFMMFFFMMMMMMFMMMMMFMMFFMFMMFFFFFMFMFFMFMMMMMMMMFFFFFMFFMMFMFMMMMFMF"
CREMA_D_EMOTIONS = {
    "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness",
}  # fmt: skip
# Pichora-Fuller and Dupuis, 2010: an older and a younger actress, both women.
TESS_EMOTIONS = {
    "angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "happiness", "neutral": "neutral",
    "ps": "surprise", "sad": "sadness",
}  # fmt: skip
# Costantini et al., 2014: disgusto, gioia, neutrale, paura, rabbia, sorpresa, tristezza; three actresses, three actors.
EMOVO_EMOTIONS = {
    "dis": "disgust", "gio": "happiness", "neu": "neutral", "pau": "fear", "rab": "anger", "sor": "surprise",
    "tri": "sadness",
}  # fmt: skip
EMOVO_SPEAKERS = {"f1": FEMALE, "f2": FEMALE, "f3": FEMALE, "m1": MALE, "m2": MALE, "m3": MALE}

EXPECTED: dict[str, dict[str, Utterance]] = {
    "EmoDB": {
        f"wav/{speaker}{text}{letter}a.wav": Utterance(speaker, gender, text, emotion)
        for (speaker, gender), text, (letter, emotion) in itertools.product(
            EMODB_SPEAKERS.items(), EMODB_TEXTS, EMODB_EMOTIONS.items()
        )
    },
    "RAVDESS": {
        f"Actor_{actor:02d}/03-01-{number:02d}-01-{text}-02-{actor:02d}.wav": Utterance(
            f"{actor:02d}", FEMALE if actor % 2 == 0 else MALE, text, emotion
        )
        for actor in range(1, 25)
        for number, emotion in enumerate(RAVDESS_EMOTIONS, start=1)
        for text in ("01", "02")
    },
    "SAVEE": {
        f"{speaker}/{code}07.wav": Utterance(speaker, MALE, f"{code}07", emotion)
        for speaker in ("DC", "JE", "JK", "KL")
        for code, emotion in SAVEE_EMOTIONS.items()
    },
    "CREMA-D": {
        f"AudioWAV/{actor}_DFA_{code}_XX.wav": Utterance(str(actor), FEMALE if gender == "F" else MALE, "DFA", emotion)
        for actor, gender in enumerate(CREMA_D_GENDERS, start=1001)
        for code, emotion in CREMA_D_EMOTIONS.items()
    },
    "TESS": {
        f"{name}_{emotion}/{name}_back_{code}.wav": Utterance(name, FEMALE, "back", emotion)
        for name in ("OAF", "YAF")
        for code, emotion in TESS_EMOTIONS.items()
    },
    "EMOVO": {
        f"{speaker}/{code}-{speaker}-b1.wav": Utterance(speaker, gender, "b1", emotion)
        for speaker, gender in EMOVO_SPEAKERS.items()
        for code, emotion in EMOVO_EMOTIONS.items()
    },
}
BY_CONTENT = {"Audformat", "LabelsCSV", "LabelFolders"}
"""Those that read tables or folders, whose labels are whatever stands there; `test_corpus_tables.py` tests them."""
NEIGHBOURS = {
    "EmoDB": ["04a01Fa.wav", "17a01Fa.wav", "03c01Fa.wav", "03a01Xa.wav", "03a01F.wav"],
    "RAVDESS": [
        "03-01-09-01-01-01-01.wav",
        "03-01-00-01-01-01-01.wav",
        "03-01-01-01-01-01-25.wav",
        "03-01-01-01-01-01-00.wav",
        "03-02-01-01-01-01-01.wav",  # a song
        "01-01-01-01-01-01-01.wav",  # the sound of a video
    ],
    "SAVEE": ["DC/x01.wav", "AB/a01.wav", "DC/a1.wav"],
    "CREMA-D": ["1000_DFA_ANG_XX.wav", "1092_DFA_ANG_XX.wav", "1001_DFA_SUR_XX.wav", "1001_DFA_ANG_YY.wav"],
    "TESS": ["OAF_back_calm.wav", "MAF_back_angry.wav"],
    "EMOVO": ["dis-f4-b1.wav", "dis-m0-b1.wav", "joy-f1-b1.wav"],
}


def test_every_corpus_is_written_down_here() -> None:
    assert set(CORPORA.names()) == EXPECTED.keys() | BY_CONTENT
    assert (CREMA_D_GENDERS.count("F"), CREMA_D_GENDERS.count("M")) == (43, 48)  # as the paper counts them


@pytest.mark.parametrize("name", EXPECTED)
def test_names_say_what_the_corpus_s_documentation_says(name: str) -> None:
    corpus = CORPORA.get(name)()
    assert {path: corpus.parse(path) for path in EXPECTED[name]} == EXPECTED[name]
    assert {path: corpus.parse(path) for path in NEIGHBOURS[name]} == dict.fromkeys(NEIGHBOURS[name])
