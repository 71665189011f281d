"""RAVDESS, the Ryerson Audio-Visual Database of Emotional Speech and Song (Livingstone and Russo, PLoS ONE 2018)."""

from __future__ import annotations

import re
from types import MappingProxyType

from ser.corpora.schemes.base import CORPORA, Corpus, Utterance

EMOTIONS = MappingProxyType(
    {
        "01": "neutral",
        "02": "calm",
        "03": "happiness",
        "04": "sadness",
        "05": "anger",
        "06": "fear",
        "07": "disgust",
        "08": "surprise",
    }
)
"""The third number of the name to the label."""

# Modality 03 is audio alone and vocal channel 01 is speech.
_NAME = re.compile(r"(?:.*/)?03-01-(?P<emotion>0[1-8])-0[12]-(?P<text>0[12])-0[12]-(?P<speaker>0[1-9]|1\d|2[0-4])\.\w+")


@CORPORA.register()
class RAVDESS(Corpus):
    """Names like `03-01-06-01-02-01-12.wav`: modality, channel, emotion, intensity, statement, repetition, actor.

    Speech alone is known (`03-01-…`), not song (`03-02-…`) and not the sound of the videos (`01-…`): a song is no
    speech, and the videos have the same sound once more. Actors of odd number are male.
    """

    title = "RAVDESS, the Ryerson Audio-Visual Database of Emotional Speech and Song (Livingstone and Russo, 2018)"

    def parse(self, path: str) -> Utterance | None:
        """See `Corpus.parse`."""
        match = _NAME.fullmatch(path)
        if match is None:
            return None
        gender = "male" if int(match["speaker"]) % 2 else "female"
        return Utterance(match["speaker"], gender, match["text"], EMOTIONS[match["emotion"]])
