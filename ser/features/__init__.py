"""Features: what a model sees of a piece of speech.

extractors    each a module; adding one adds a feature
frontend      how a recording becomes rows: cut, normalised, extracted
standardiser  columns on one scale
feature_set   the rows and labels of a corpus
training_set  those of them that are learnt from
"""

from ser.features.extractors.base import EXTRACTORS, About, FeatureExtractor

__all__ = ["EXTRACTORS", "About", "FeatureExtractor"]
