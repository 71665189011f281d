"""Conformance: what every feature extractor and every model type must do, for whoever writes one.

    extractors     EXTRACTOR_CHECKS, each called with a method's name, its config and an empty folder
    model_types    MODEL_TYPE_CHECKS, each called with a `Trial`: a model type on the features of a small corpus
    serving        a process that has what serving has: no TensorFlow, no Keras, no librosa

A check says nothing where all is well, and raises AssertionError with words where it is not. With pytest:

    from ser.testing import EXTRACTOR_CHECKS

    @pytest.mark.parametrize("check", EXTRACTOR_CHECKS, ids=lambda check: check.__name__)
    def test_zero_crossings(check, tmp_path):
        check("ZeroCrossings", {"parts": 20}, tmp_path)

SER's own extractors and model types go through the same checks.
"""

from ser.testing.extractors import EXTRACTOR_CHECKS
from ser.testing.model_types import MODEL_TYPE_CHECKS, Trial

__all__ = ["EXTRACTOR_CHECKS", "MODEL_TYPE_CHECKS", "Trial"]
