from __future__ import annotations

import pytest

from ser.errors import ConfigError
from ser_api.v1 import ser_pb2
from ser_inference_server.convert import train_fields


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_does_not_have_is_refused_by_the_name_of_its_config(number: float) -> None:
    request = ser_pb2.TrainRequest(model_config={"lr": 0.5})
    assert train_fields(request) == {"model_config": {"lr": 0.5}}
    request.model_config["lr"] = number
    with pytest.raises(ConfigError, match="^model_config: expected finite numbers"):
        train_fields(request)
    request = ser_pb2.TrainRequest()
    request.dataset_feature_extract_methods["MFCC"]["low_frequency"] = number
    with pytest.raises(ConfigError, match=r"^dataset_feature_extract_methods\.MFCC: expected finite numbers"):
        train_fields(request)
