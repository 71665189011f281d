"""Corpora: recordings whose emotions are known.

schemes       how a corpus names or describes its files; adding a module there adds a corpus
folder        a corpus that has been unpacked, checked and described
stages        from addresses to such a folder, kept, and made anew where something has changed
corpora_file  a file that names several corpora as one
inspection    what a corpus is good for, before anything is trained
association   whether speaker and emotion can be told apart
"""

from ser.corpora.schemes.base import CORPORA, UNKNOWN, Corpus, Utterance, is_unknown

__all__ = ["CORPORA", "UNKNOWN", "Corpus", "Utterance", "is_unknown"]
