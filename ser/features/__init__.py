"""Feature extractors: what a model sees of a piece of speech.

Each module here is one extractor; adding a module adds an extractor.
"""

from ser.features.base import EXTRACTORS, About, FeatureExtractor

__all__ = ["EXTRACTORS", "About", "FeatureExtractor"]
