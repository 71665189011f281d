"""CREMA-D, the Crowd-sourced Emotional Multimodal Actors Dataset (Cao et al., IEEE Trans. Affective Computing 2014)."""

from __future__ import annotations

import re
from types import MappingProxyType

from ser.corpora.schemes.base import CORPORA, Corpus, Utterance

EMOTIONS = MappingProxyType(
    {
        "ANG": "anger",
        "DIS": "disgust",
        "FEA": "fear",
        "HAP": "happiness",
        "NEU": "neutral",
        "SAD": "sadness",
    }
)
"""The letters in the name to the label: the emotion that the actor was asked for."""
FEMALE = frozenset(
    f"10{number:02d}"
    for number in (
        *(2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 18, 20, 21, 24, 25, 28, 29, 30, 37, 43, 46, 47, 49, 52, 53, 54, 55, 56),
        *(58, 60, 61, 63, 72, 73, 74, 75, 76, 78, 79, 82, 84, 89, 91),
    )
)
"""The 43 actresses of the 91 actors, by the corpus's VideoDemographics.csv."""

_NAME = re.compile(
    r"(?:.*/)?(?P<speaker>10(?:0[1-9]|[1-8]\d|9[01]))_(?P<text>[A-Z]{3})"
    r"_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?:LO|MD|HI|XX?)\.\w+"  # one file has a single X
)


@CORPORA.register("CREMA-D")
class CremaD(Corpus):
    """Names like `1001_DFA_ANG_XX.wav`: actor, sentence, emotion, intensity."""

    title = "CREMA-D, the Crowd-sourced Emotional Multimodal Actors Dataset (Cao et al., 2014)"

    def parse(self, path: str) -> Utterance | None:
        """See `Corpus.parse`."""
        match = _NAME.fullmatch(path)
        if match is None:
            return None
        gender = "female" if match["speaker"] in FEMALE else "male"
        return Utterance(match["speaker"], gender, match["text"], EMOTIONS[match["emotion"]])
