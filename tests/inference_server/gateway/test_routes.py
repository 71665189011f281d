"""Routes come from the annotations alone."""

from __future__ import annotations

from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool

from ser_api.v1 import ser_pb2
from ser_inference_server.gateway.routes import routes


def service(*rules: dict[str, Any]) -> Any:
    """A service whose RPCs have these http rules."""
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", dependency=["google/api/annotations.proto"])
    file.message_type.add(name="M").field.add(name="id", number=1, type=9, label=1)
    made = file.service.add(name="S")
    for number, rule in enumerate(rules):
        method = made.method.add(name=f"R{number}", input_type=".t.M", output_type=".t.M")
        for key, value in rule.items():
            setattr(method.options.Extensions[annotations_pb2.http], key, value)
    pool = descriptor_pool.DescriptorPool()
    for dependency in ("google/protobuf/descriptor.proto", "google/api/http.proto", "google/api/annotations.proto"):
        proto = descriptor_pb2.FileDescriptorProto()
        descriptor_pool.Default().FindFileByName(dependency).CopyToProto(proto)  # type: ignore[no-untyped-call]
        pool.Add(proto)  # type: ignore[no-untyped-call]
    pool.Add(file)  # type: ignore[no-untyped-call]
    return pool.FindServiceByName("t.S")  # type: ignore[no-untyped-call]


def test_every_rpc_has_a_route() -> None:
    ours = ser_pb2.DESCRIPTOR.services_by_name["SpeechEmotionRecognition"]
    found = routes(ours)
    assert {route.rpc.name for route in found} == {rpc.name for rpc in ours.methods}
    by_name = {route.rpc.name: (route.verb, route.path) for route in found}
    assert by_name["Train"] == ("POST", "/train")
    assert by_name["Predict"] == ("POST", "/predict")
    assert by_name["CancelTrainingJob"] == ("POST", "/jobs/{job_id}:cancel")


def test_a_new_rpc_needs_no_gateway_code_and_the_more_literal_path_comes_first() -> None:
    found = routes(service({"get": "/x/{id}"}, {"get": "/x/{id}:watch"}, {"put": "/x/y", "body": "*"}, {}))
    assert [(route.verb, route.path, route.takes_body) for route in found] == [
        ("PUT", "/x/y", True),
        ("GET", "/x/{id}:watch", False),
        ("GET", "/x/{id}", False),
    ]


@pytest.mark.parametrize("rule", [{"post": "/x", "body": "id"}, {"get": "/x/{id=a/*}"}])
def test_an_annotation_that_the_gateway_does_not_know_is_an_error(rule: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="the gateway knows"):
        routes(service(rule))
