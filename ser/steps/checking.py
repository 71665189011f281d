"""What is checked before a pipeline fetches anything: that its settings fit, and that what they need is here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ser.config import parse
from ser.request import FeatureConfig, ModelRequest
from ser.steps.feature_extraction import check_encoders

OF_THE_MODEL_TYPE: Mapping[str, Any] = MappingProxyType(
    {"dataset_load_split_at": "", "dataset_feature_extract_methods": {}, "dataset_virtual_speakers": -1}
)
"""Parameter of a pipeline to the value by which it is as the model type has it: parameters of KFP have no null."""


def check_request(parameters: Mapping[str, Any]) -> FeatureConfig:
    """Checks settings as one request, as the command line and the server do before they begin.

    Args:
        parameters: Fields of `ser.request.ModelRequest`; those of `OF_THE_MODEL_TYPE` are as the model type has them
            where they have the value there.

    Returns:
        The settings of the features, all of them said.

    Raises:
        ConfigError: If a value is not allowed, or the model type cannot read the features.
        MissingEncoderError: If an encoder that a method extracts by is not on this machine.
        DamagedError: If it is altered.
    """
    said = {
        name: value
        for name, value in parameters.items()
        if name not in OF_THE_MODEL_TYPE or value != OF_THE_MODEL_TYPE[name]
    }
    request = parse(ModelRequest, said)
    check_encoders(request)
    return request
