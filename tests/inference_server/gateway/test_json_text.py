"""The text of answers is what `json_format` says, whatever is in them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ser.errors import ConfigError, FieldViolation
from ser_api.v1 import ser_pb2
from ser_inference_server.failures import to_status
from ser_inference_server.gateway.json_text import to_json_text

MESSAGES = sorted(ser_pb2.DESCRIPTOR.message_types_by_name)


def by_json_format(message: Message) -> Any:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def fill(message: Message, seeded: random.Random, depth: int = 0) -> None:
    """Sets some of the fields to something."""
    for field in message.DESCRIPTOR.fields:
        if seeded.random() < 0.3 or depth > 3:
            continue
        target = getattr(message, field.name)
        if field.message_type is None:
            values = [value(field, seeded) for _ in range(3)]
            if field.is_repeated:
                target.extend(values)
            else:
                setattr(message, field.name, values[0])
        elif field.message_type.GetOptions().map_entry:
            of_value = field.message_type.fields_by_name["value"]
            for _ in range(3):
                key = value(field.message_type.fields_by_name["key"], seeded)
                if of_value.message_type is None:
                    target[key] = value(of_value, seeded)
                else:
                    fill_any(target[key], seeded, depth + 1)
        else:
            for one in [target.add() for _ in range(2)] if field.is_repeated else [target]:
                fill_any(one, seeded, depth + 1)


def fill_any(message: Message, seeded: random.Random, depth: int) -> None:
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Struct":
        json_format.ParseDict({"a": [1, "x", None, {"b": True}], '\u00e9"': 1e300}, message)
    elif name == "google.protobuf.Timestamp":
        json_format.ParseDict("2026-02-03T04:05:06.789Z", message)
    else:
        message.SetInParent()
        fill(message, seeded, depth)


def value(field: Any, seeded: random.Random) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return seeded.choice(
            ["", "a", 'quote " and \\', "line\nbreak\0\x1f\x7f", "\u00e9\u2028\U0001f600", str(seeded.random())]
        )
    if field.type == FieldDescriptor.TYPE_BYTES:
        return seeded.randbytes(seeded.randrange(5))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return seeded.random() < 0.5
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return seeded.choice([0.0, -0.0, 1.0, 1 / 3, 1e-300, 1e300, 5e-324, float("inf"), float("-inf"), 123456789.0])
    if field.type == FieldDescriptor.TYPE_ENUM:
        return seeded.choice([0, 1, 99])
    return seeded.randrange(2**31)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_is_written_as_json_format_has_it(name: str) -> None:
    make = GetMessageClass(ser_pb2.DESCRIPTOR.message_types_by_name[name])
    assert json.loads(to_json_text(make())) == by_json_format(make())
    for seed in range(20):
        message = make()
        fill(message, random.Random(seed))
        assert json.loads(to_json_text(message)) == by_json_format(message)


def test_nan_is_a_string() -> None:
    assert json.loads(to_json_text(ser_pb2.Piece(start_seconds=float("nan"))))["start_seconds"] == "NaN"


def test_a_status_is_written_too() -> None:
    status = to_status(ConfigError([FieldViolation("a.b", "expected \u00e9")]), "id")
    assert json.loads(to_json_text(status)) == by_json_format(status)


def test_answers_have_the_proto_s_names_and_their_defaults() -> None:
    answer = json.loads(to_json_text(ser_pb2.TrainingJob(job_id="j", state=ser_pb2.TrainingJob.QUEUED)))
    assert answer == {"job_id": "j", "state": "QUEUED", "ahead": 0}


def test_maps_come_in_the_order_of_their_keys_wherever_they_are() -> None:
    probabilities = {f"label {number}": 0.1 for number in range(30, 9, -1)}
    answer = ser_pb2.PredictResponse(
        probabilities=probabilities, pieces=[ser_pb2.Piece(probabilities=probabilities)] * 2
    )
    found = json.loads(to_json_text(answer))
    for one in (found, *found["pieces"]):
        assert list(one["probabilities"]) == sorted(probabilities)
