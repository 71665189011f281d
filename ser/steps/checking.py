"""What is checked before a pipeline fetches a corpus: that its settings fit, and that what they need is here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ser.config import parse
from ser.evaluation.fold_file import read_fold_file
from ser.request import AcceptanceConfig, CrossValidationConfig, FeatureConfig, ModelRequest
from ser.steps.feature_extraction import check_encoders

OF_THE_MODEL_TYPE: Mapping[str, Any] = MappingProxyType(
    {"dataset_load_split_at": "", "dataset_feature_extract_methods": {}, "dataset_virtual_speakers": -1}
)
"""Parameter of a pipeline to the value by which it is as the model type has it: parameters of KFP have no null."""


class PipelineRequest(AcceptanceConfig, CrossValidationConfig, ModelRequest):
    """All that a pipeline follows but where things lie; what one of them does not know has its default."""


def check_request(parameters: Mapping[str, Any]) -> FeatureConfig:
    """Checks settings as one request, as the command line and the server do before they begin.

    Args:
        parameters: Fields of `PipelineRequest`; those of `OF_THE_MODEL_TYPE` are as the model type has them where they
            have the value there.

    Returns:
        The settings of the features, all of them said.

    Raises:
        ConfigError: If a value is not allowed, or the model type cannot read the features.
        NotFoundError: If there is no such file of folds; `ser.evaluation.fold_file.read_fold_file` has what else may be
            wrong with one.
        MissingEncoderError: If an encoder that a method extracts by is not on this machine.
        DamagedError: If it is altered.
    """
    said = {
        name: value
        for name, value in parameters.items()
        if name not in OF_THE_MODEL_TYPE or value != OF_THE_MODEL_TYPE[name]
    }
    request = parse(PipelineRequest, said)
    check_encoders(request)
    if request.fold_file:
        read_fold_file(request.fold_file)
    return request
