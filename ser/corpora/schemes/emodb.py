"""EmoDB, the Berlin Database of Emotional Speech (Burkhardt et al., Interspeech 2005)."""

from __future__ import annotations

import re
from types import MappingProxyType

from ser.corpora.schemes.base import CORPORA, Corpus, Utterance

EMOTIONS = MappingProxyType(
    {
        "W": "anger",  # Wut
        "L": "boredom",  # Langeweile
        "E": "disgust",  # Ekel
        "A": "fear",  # Angst
        "F": "happiness",  # Freude
        "T": "sadness",  # Trauer
        "N": "neutral",
    }
)
"""The letter in the name, from the German word, to the label."""
GENDERS = MappingProxyType(
    {
        **dict.fromkeys(("03", "10", "11", "12", "15"), "male"),
        **dict.fromkeys(("08", "09", "13", "14", "16"), "female"),
    }
)
"""Speaker to gender."""

# EmoDB's versions have one letter; the embedded corpus has more of them than letters.
_NAME = re.compile(r"(?:.*/)?(?P<speaker>\d{2})(?P<text>[ab]\d{2})(?P<emotion>[WLEAFTN])[a-z]{1,2}\.\w+")


@CORPORA.register()
class EmoDB(Corpus):
    """Names like `03a01Fa.wav`: speaker 03, text a01, emotion F, version a."""

    title = "EmoDB, the Berlin Database of Emotional Speech (Burkhardt et al., 2005)"

    def parse(self, path: str) -> Utterance | None:
        """See `Corpus.parse`."""
        match = _NAME.fullmatch(path)
        if match is None or match["speaker"] not in GENDERS:
            return None
        return Utterance(match["speaker"], GENDERS[match["speaker"]], match["text"], EMOTIONS[match["emotion"]])
