"""The embedded corpus: synthetic emotional speech laid out like EmoDB, for a demo without network or licence.

    prosody     who speaks and how: speakers, emotions, and the delivery that a clip draws from both
    phones      what is said: speech sounds, and ten nonsense sentences made of them
    utterance   sentence and delivery to the movements of pitch, formants and loudness
    voice       those movements to samples: glottal pulses and noise through a vocal tract
    corpus      which clips there are, and the zip that holds them

It shows that the pipeline works and how fast. It is no evidence about people: what a model scores on it says
how far the settings in `prosody` overlap, nothing else.
"""

from ser.synthesis.corpus import CLIP_BYTES, MAX_CLIPS, MIN_CLIPS, synthesise_corpus

__all__ = ["CLIP_BYTES", "MAX_CLIPS", "MIN_CLIPS", "synthesise_corpus"]
