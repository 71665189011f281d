"""Corpora: how a corpus names its files, and what the names say.

Each module here is one corpus; adding a module adds a corpus.
"""

from ser.corpora.base import CORPORA, Corpus, Utterance

__all__ = ["CORPORA", "Corpus", "Utterance"]
