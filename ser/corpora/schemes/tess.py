"""TESS, the Toronto Emotional Speech Set (Pichora-Fuller and Dupuis, 2010)."""

from __future__ import annotations

import re
from types import MappingProxyType

from ser.corpora.schemes.base import CORPORA, Corpus, Utterance

EMOTIONS = MappingProxyType(
    {
        "angry": "anger",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "happiness",
        "neutral": "neutral",
        "ps": "surprise",  # pleasant surprise
        "sad": "sadness",
    }
)
"""The last word of the name to the label."""

# One file of the older speaker is published as OA_bite_neutral.wav.
_NAME = re.compile(
    r"(?:.*/)?(?P<speaker>OAF?|YAF)_(?P<text>[a-z]+)_(?P<emotion>angry|disgust|fear|happy|neutral|ps|sad)\.\w+"
)


@CORPORA.register()
class TESS(Corpus):
    """Names like `OAF_back_angry.wav`: one of two women, the word after "Say the word", emotion."""

    title = "TESS, the Toronto Emotional Speech Set (Pichora-Fuller and Dupuis, 2010)"

    def parse(self, path: str) -> Utterance | None:
        """See `Corpus.parse`."""
        match = _NAME.fullmatch(path)
        if match is None:
            return None
        speaker = "YAF" if match["speaker"] == "YAF" else "OAF"
        return Utterance(speaker, "female", match["text"], EMOTIONS[match["emotion"]])
