"""SAVEE, Surrey Audio-Visual Expressed Emotion (Haq and Jackson, AVSP 2009)."""

from __future__ import annotations

import re
from types import MappingProxyType

from ser.corpora.schemes.base import CORPORA, Corpus, Utterance

EMOTIONS = MappingProxyType(
    {
        "a": "anger",
        "d": "disgust",
        "f": "fear",
        "h": "happiness",
        "n": "neutral",
        "sa": "sadness",
        "su": "surprise",
    }
)
"""The letters in the name to the label."""

_NAME = re.compile(r"(?:.*/)?(?P<speaker>DC|JE|JK|KL)[/_](?P<emotion>sa|su|[adfhn])(?P<number>\d{2})\.\w+")


@CORPORA.register()
class SAVEE(Corpus):
    """Names like `DC/a01.wav` or `DC_a01.wav`: one of four male speakers, emotion a, sentence 01 of that emotion.

    Sentences are numbered within an emotion, so emotion and number together are the text: each text has one label.
    """

    title = "SAVEE, Surrey Audio-Visual Expressed Emotion (Haq and Jackson, 2009)"
    names_are_unique = False

    def parse(self, path: str) -> Utterance | None:
        """See `Corpus.parse`."""
        match = _NAME.fullmatch(path)
        if match is None:
            return None
        return Utterance(match["speaker"], "male", match["emotion"] + match["number"], EMOTIONS[match["emotion"]])
