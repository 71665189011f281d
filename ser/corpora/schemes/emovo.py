"""EMOVO, an Italian emotional speech database (Costantini et al., LREC 2014)."""

from __future__ import annotations

import re
from types import MappingProxyType

from ser.corpora.schemes.base import CORPORA, Corpus, Utterance

EMOTIONS = MappingProxyType(
    {
        "dis": "disgust",  # disgusto
        "gio": "happiness",  # gioia
        "neu": "neutral",  # neutrale
        "pau": "fear",  # paura
        "rab": "anger",  # rabbia
        "sor": "surprise",  # sorpresa
        "tri": "sadness",  # tristezza
    }
)
"""The letters in the name, from the Italian word, to the label."""

_NAME = re.compile(r"(?:.*/)?(?P<emotion>dis|gio|neu|pau|rab|sor|tri)-(?P<speaker>[fm][1-3])-(?P<text>[a-z]\d)\.\w+")


@CORPORA.register()
class EMOVO(Corpus):
    """Names like `f1/dis-f1-b1.wav`: emotion, one of three women and three men, sentence."""

    title = "EMOVO, an Italian emotional speech database (Costantini et al., 2014)"

    def parse(self, path: str) -> Utterance | None:
        """See `Corpus.parse`."""
        match = _NAME.fullmatch(path)
        if match is None:
            return None
        gender = "female" if match["speaker"].startswith("f") else "male"
        return Utterance(match["speaker"], gender, match["text"], EMOTIONS[match["emotion"]])
