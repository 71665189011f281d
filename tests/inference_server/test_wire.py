"""What a binary message holds is known before it is parsed."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from ser.errors import ConfigError, LimitError
from ser_api.v1 import ser_pb2
from ser_inference_server.wire import MAX_FIELDS, MAX_VIOLATIONS, check_message


def test_messages_that_the_api_knows_pass() -> None:
    train = json_format.ParseDict(
        {
            "data_path": "d",
            "random_state": 7,
            "dataset_force": True,
            "model_config": {"a": [1, {"b": None}], "c": "x"},
            "dataset_feature_extract_methods": {"MFCC": {"num_cepstral": 20}},
        },
        ser_pb2.TrainRequest(),
    )
    clip = ser_pb2.Clip(audio=b"\xff" * 100_000, speaker="anna")
    predict = ser_pb2.PredictRequest(model_id="m", clips=[clip] * 64, uncertain_below=0.5, enrollment_clips=[b"", b"x"])
    config = ser_pb2.StreamPredictRequest(config=ser_pb2.StreamConfig(model_id="m", hop_seconds=0.5, adapt=True))
    messages: list[Message] = [train, predict, config, ser_pb2.ListModelsRequest()]
    for message in messages:
        check_message(message.SerializeToString(), message.DESCRIPTOR)


@pytest.mark.parametrize("field", ["clips", "enrollment_clips"])
def test_the_number_of_fields_is_bounded(field: str) -> None:
    def of(number: int) -> bytes:
        content = [ser_pb2.Clip()] * number if field == "clips" else [b""] * number
        return ser_pb2.PredictRequest(**{field: content}).SerializeToString()  # type: ignore[arg-type]

    check_message(of(MAX_FIELDS), ser_pb2.PredictRequest.DESCRIPTOR)
    for number in (MAX_FIELDS + 1, 1_000_000):
        with pytest.raises(LimitError, match=f"at most {MAX_FIELDS} fields"):
            check_message(of(number), ser_pb2.PredictRequest.DESCRIPTOR)


def test_fields_within_others_count() -> None:
    train = json_format.ParseDict({"model_config": {"a": [0] * (MAX_FIELDS // 2)}}, ser_pb2.TrainRequest())
    with pytest.raises(LimitError):
        check_message(train.SerializeToString(), train.DESCRIPTOR)


@pytest.mark.parametrize(
    ("unknown", "named"),
    [
        (b"\xb8\x3e\x01", ["#999"]),
        (b"\x20\x01", ["#4"]),  # audio as a number
        (b"\x53\x54", ["#10"]),  # a group
        (b"\xb8\x3e\x01" * 1_000, ["#999"] * MAX_VIOLATIONS),
    ],
)
def test_what_the_api_does_not_have_is_named(unknown: bytes, named: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        check_message(unknown, ser_pb2.PredictRequest.DESCRIPTOR)
    assert [violation.field for violation in error.value.violations] == named


def test_what_is_unknown_in_a_clip_is_named_by_its_path() -> None:
    data = ser_pb2.PredictRequest(clips=[ser_pb2.Clip(audio=b"x")]).SerializeToString()
    at = data.index(b"x")
    tag, inner = data[:1], data[2 : at + 1] + b"\xb8\x3e\x01"
    with pytest.raises(ConfigError, match="clips.#999"):
        check_message(tag + bytes([len(inner)]) + inner, ser_pb2.PredictRequest.DESCRIPTOR)


@pytest.mark.parametrize("cut", range(1, 12))
def test_what_is_cut_short_is_left_to_the_parser(cut: int) -> None:
    data = ser_pb2.PredictRequest(model_id="model", clips=[ser_pb2.Clip(audio=b"x" * 10)]).SerializeToString()
    check_message(data[:-cut], ser_pb2.PredictRequest.DESCRIPTOR)
    check_message(b"\x0a" + b"\xff" * 20, ser_pb2.PredictRequest.DESCRIPTOR)
