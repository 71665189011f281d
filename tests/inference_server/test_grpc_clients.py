"""What gRPC's tools and clients do besides calling: ask what there is, ping, and die."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2
from websockets.sync.client import connect

from ser_api.v1 import ser_pb2, ser_pb2_grpc
from tests.inference_server.harness import Server

REFLECTIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
SERVICE = "ser.v1.SpeechEmotionRecognition"


@pytest.mark.parametrize("service", REFLECTIONS)
def test_reflection_finds_what_tools_ask_for(server: Server, service: str) -> None:
    def answer(**asked: str) -> reflection_pb2.ServerReflectionResponse:
        request = reflection_pb2.ServerReflectionRequest(**asked)
        return next(ask(iter([request]), timeout=20))

    def files(symbol: str) -> set[str]:
        found = answer(file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto
        return {descriptor_pb2.FileDescriptorProto.FromString(file).name for file in found}

    with grpc.insecure_channel(server.grpc) as channel:
        ask = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        listed = {one.name for one in answer(list_services="").list_services_response.service}
        assert listed == {SERVICE, "grpc.health.v1.Health", *REFLECTIONS}
        for symbol in (
            SERVICE, f"{SERVICE}.Predict", f"{SERVICE}.StreamPredict", "ser.v1.PredictRequest",
            "ser.v1.PredictRequest.audio", "ser.v1.TrainingJob.State",
        ):  # fmt: skip
            assert ser_pb2.DESCRIPTOR.name in files(symbol), symbol
        for name in listed:  # what is listed can be described
            assert files(name), name
        for symbol in (f"{SERVICE}.Nothing", "ser.v1.Nothing", "Predict", "", f"{SERVICE}.Predict.more"):
            assert answer(file_containing_symbol=symbol).error_response.error_code == 5, symbol


def test_pings_on_a_quiet_stream_and_without_calls_are_no_offence(server: Server, model_id: str) -> None:
    done = threading.Event()

    def quiet() -> Iterator[ser_pb2.StreamPredictRequest]:
        yield ser_pb2.StreamPredictRequest(config=ser_pb2.StreamConfig(model_id=model_id, sample_rate_hz=8_000))
        done.wait(60)

    options = [
        ("grpc.keepalive_time_ms", 1_200),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    states: list[grpc.ChannelConnectivity] = []
    with grpc.insecure_channel(server.grpc, options=options) as channel:
        stub = ser_pb2_grpc.SpeechEmotionRecognitionStub(channel)
        call = stub.StreamPredict(quiet(), timeout=60)
        channel.subscribe(states.append)
        until = time.monotonic() + 6.5  # five pings; three were too many
        while time.monotonic() < until:
            assert call.is_active(), call.details()
            done.wait(0.1)
        done.set()
        assert list(call) == []
        time.sleep(5)  # and without a call
        stub.ListModels(ser_pb2.ListModelsRequest(), timeout=20)
    assert grpc.ChannelConnectivity.TRANSIENT_FAILURE not in states
    assert states.count(grpc.ChannelConnectivity.READY) == 1, states


GRPC_CLIENT = """
import sys, grpc
from ser_api.v1 import ser_pb2, ser_pb2_grpc
address, model_id, request_id = sys.argv[1:]
def speak():
    yield ser_pb2.StreamPredictRequest(
        config=ser_pb2.StreamConfig(model_id=model_id, sample_rate_hz=8000, window_seconds=2, hop_seconds=0.1))
    while True:
        yield ser_pb2.StreamPredictRequest(pcm=b"\\1\\1" * 4000)
stub = ser_pb2_grpc.SpeechEmotionRecognitionStub(grpc.insecure_channel(address))
for number, _ in enumerate(stub.StreamPredict(speak(), metadata=[("x-request-id", request_id)])):
    if number == 10:
        print("under way", flush=True)
"""
SOCKET_CLIENT = """
import sys, json
from websockets.sync.client import connect
address, model_id, request_id = sys.argv[1:]
address = address.replace("http", "ws") + "/predict/stream"
with connect(address, additional_headers={"x-request-id": request_id}) as socket:
    socket.send(json.dumps({"config": {
        "model_id": model_id, "sample_rate_hz": 8000, "window_seconds": 2, "hop_seconds": 0.1}}))
    for number in range(10**6):
        socket.send(b"\\1\\1" * 40000)
        socket.recv()
        if number == 2:
            print("under way", flush=True)
"""


@pytest.mark.parametrize(("client", "protocol"), [(GRPC_CLIENT, "grpc"), (SOCKET_CLIENT, "http")])
def test_a_stream_whose_client_dies_is_cancelled_and_no_defect(
    server: Server, model_id: str, client: str, protocol: str
) -> None:
    address = server.grpc if protocol == "grpc" else server.http
    ids = [f"dies-{protocol}-{number}" for number in range(8)]
    for request_id in ids:
        with subprocess.Popen(
            [sys.executable, "-c", client, address, model_id, request_id], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "under way\n"
            process.kill()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        codes = {line["request_id"]: line["code"] for line in server.logged() if line.get("request_id") in ids}
        if len(codes) == len(ids):
            break
        time.sleep(0.1)
    assert codes == dict.fromkeys(ids, "CANCELLED")


def test_a_reason_to_close_a_socket_fits_however_long_the_error_is(server: Server) -> None:
    with connect(f"{server.http.replace('http', 'ws')}/predict/stream") as socket:
        socket.send(json.dumps({"\N{GRINNING FACE}" * 60: 1}))
        assert "unknown field" in json.loads(socket.recv(20))["error"]["message"]
        with pytest.raises(Exception, match="1008"):
            socket.recv(20)
