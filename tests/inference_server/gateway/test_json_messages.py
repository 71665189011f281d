"""JSON, query strings and forms as messages: what people really send, and every wrong field by name."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from ser.errors import ConfigError, LimitError
from ser_api.v1 import ser_pb2
from ser_inference_server.gateway.json_messages import from_text, to_message
from ser_inference_server.gateway.strict_json import MAX_VALUES, parse
from ser_inference_server.wire import MAX_VIOLATIONS


def train(**fields: Any) -> ser_pb2.TrainRequest:
    return to_message(fields, ser_pb2.TrainRequest())


@pytest.mark.parametrize("value", ["avg", "16000", 16_000, 16_000.0])
def test_a_string_takes_a_number(value: object) -> None:
    assert train(dataset_load_split_at=value).dataset_load_split_at == str(value).removesuffix(".0")


@pytest.mark.parametrize("value", [20, 20.0])
def test_a_whole_number_comes_either_way(value: object) -> None:
    assert train(random_state=value).random_state == 20
    assert train(model_config={"epochs": value}).model_config["epochs"] == 20


def test_what_json_format_reads_is_read_alike() -> None:
    message = ser_pb2.PredictRequest(
        model_id="m", clips=[ser_pb2.Clip(name="a", audio=b"\xff\xfe?", speaker="03"), ser_pb2.Clip(audio=b"")]
    )
    for proto_names in (True, False):
        content = json_format.MessageToDict(message, preserving_proto_field_name=proto_names)
        assert to_message(content, ser_pb2.PredictRequest()) == message


def test_null_is_a_field_that_is_left_out() -> None:
    assert not train(random_state=None, model_config=None).ListFields()


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"random_state": "20"}, "random_state", 'whole number from 0 to 4294967295, got "20"'),
        ({"random_state": 1e300}, "random_state", "whole number"),
        ({"random_state": True}, "random_state", "whole number"),
        ({"dataset_force": 1}, "dataset_force", "true or false, got 1"),
        ({"dataset_force": "true"}, "dataset_force", "true or false"),
        ({"data_path": []}, "data_path", "string"),
        ({"data_path": True}, "data_path", "string"),
        ({"data_path": "\ud800"}, "data_path", "Unicode"),
        ({"model_config": "x"}, "model_config", "object"),
        ({"dataset_feature_extract_methods": {"\ud800": {}}}, "dataset_feature_extract_methods.\ud800", "Unicode"),
        ({"dataset_feature_extract_methods": []}, "dataset_feature_extract_methods", "object"),
        ({"dataset_feature_extract_methods": {"MFCC": []}}, "dataset_feature_extract_methods.MFCC", "object"),
        ({"colour": 1}, "colour", "unknown field; allowed: data_path"),
        ({"c" * 300: 1}, "c" * 200, "unknown field; allowed: data_path"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        train(**fields)
    (violation,) = error.value.violations
    assert violation.field == field
    assert says in violation.description


def test_one_of_a_list_of_words_is_such_a_word() -> None:
    assert to_message({"state": "RUNNING"}, ser_pb2.TrainingJob()).state == ser_pb2.TrainingJob.RUNNING
    for wrong in ("running", "", 2, True, ["RUNNING"]):
        with pytest.raises(ConfigError, match=r"^state: expected one of .*QUEUED, RUNNING, "):
            to_message({"state": wrong}, ser_pb2.TrainingJob())


@pytest.mark.parametrize("value", ["0.5", "NaN", True, [], {}, 10**400, float("inf"), float("nan")])
def test_a_number_is_a_finite_one(value: object) -> None:
    assert to_message({"uncertain_below": 1}, ser_pb2.PredictRequest()).uncertain_below == 1.0
    with pytest.raises(ConfigError) as error:
        to_message({"uncertain_below": value}, ser_pb2.PredictRequest())
    (violation,) = error.value.violations
    assert violation.field == "uncertain_below"
    assert violation.description.startswith("expected a number, got ")


def test_fields_within_fields_are_named_by_their_path() -> None:
    with pytest.raises(ConfigError) as error:
        to_message({"clips": [{"audio": "AA=="}, {"audio": "%"}, {"sound": 1}, 5]}, ser_pb2.PredictRequest())
    assert [violation.field for violation in error.value.violations] == ["clips[1].audio", "clips[2].sound", "clips[3]"]


def test_one_of_several_is_one() -> None:
    with pytest.raises(ConfigError, match=r"pcm: expected instead of config"):
        to_message({"config": {}, "pcm": ""}, ser_pb2.StreamPredictRequest())


def test_a_field_comes_under_one_of_its_names() -> None:
    with pytest.raises(ConfigError, match="remoteUrl: expected once, came as remote_url and as remoteUrl"):
        to_message({"remote_url": "a", "remoteUrl": "b"}, ser_pb2.TrainRequest())


def test_text_is_read_by_the_field_s_type() -> None:
    fields = from_text(
        [("random_state", "7"), ("dataset_force", "true"), ("data_path", "7"), ("model_config", '{"epochs": 3}')],
        ser_pb2.TrainRequest.DESCRIPTOR,
    )
    assert fields == {"random_state": 7, "dataset_force": True, "data_path": "7", "model_config": {"epochs": 3}}
    files = from_text([("clips", b"1"), ("clips", b"2"), ("audio", b"3")], ser_pb2.PredictRequest.DESCRIPTOR)
    assert files == {"clips": [{"audio": b"1"}, {"audio": b"2"}], "audio": b"3"}


@pytest.mark.parametrize(
    ("pairs", "field"),
    [
        ([("dataset_force", "yes")], "dataset_force"),
        ([("random_state", "many")], "random_state"),
        ([("data_path", "a"), ("data_path", "b")], "data_path"),
        ([("data_path", b"\xff")], "data_path"),
        ([("model_config", "{")], "model_config"),
        ([("model_config", '{"lr": NaN}')], "model_config"),
        ([("model_config", '{"lr": 1e400}')], "model_config.lr"),
        ([("model_config", b'{"lr": 1, "lr": 2}')], "model_config.lr"),
        ([("random_state", "1e400")], "random_state"),
        ([("colour", "red")], "colour"),
    ],
)
def test_text_that_is_wrong_is_named(pairs: list[tuple[str, str | bytes]], field: str) -> None:
    with pytest.raises(ConfigError) as error:
        to_message(from_text(pairs, ser_pb2.TrainRequest.DESCRIPTOR), ser_pb2.TrainRequest())
    assert [violation.field for violation in error.value.violations] == [field]


def test_the_number_of_values_is_bounded_and_that_of_bytes_is_not() -> None:
    assert len(parse(b"[" + b"1," * (MAX_VALUES - 2) + b"1]")) == MAX_VALUES - 1
    with pytest.raises(LimitError, match="at most 10000 values"):
        parse(b"[" + b"1," * MAX_VALUES + b"1]")
    assert parse(b'{"audio": "' + b"a" * (1 << 20) + b'"}')["audio"]


def test_an_error_names_some_of_many_wrong_fields() -> None:
    with pytest.raises(ConfigError) as error:
        to_message({f"colour {number}": 1 for number in range(5_000)}, ser_pb2.PredictRequest())
    assert len(error.value.violations) == MAX_VIOLATIONS
