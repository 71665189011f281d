"""The OpenAPI document says what the proto says, and the server does what the document says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import schemathesis

from ser.bundles.bundle import Bundle
from ser_api.v1 import ser_pb2
from ser_inference_server.gateway.openapi import openapi
from tests.inference_server.harness import Server, serve

SERVICE = ser_pb2.DESCRIPTOR.services_by_name["SpeechEmotionRecognition"]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi(SERVICE)


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["operationId"]: one for verbs in document["paths"].values() for one in verbs.values()}


def test_it_is_openapi_3_1_and_has_every_rpc(document: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(document).validate()
    assert document["openapi"].startswith("3.1")
    assert operations(document).keys() == {rpc.name for rpc in SERVICE.methods}


def test_everything_is_described(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        assert len(operation["description"]) > 10
        assert all(len(one["description"]) > 5 for one in operation["parameters"])
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name
        assert all(len(one["description"]) > 5 for one in schema["properties"].values()), name


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [one for child in value.values() for one in references(child)]
        return [one for child in value for one in references(child)] if isinstance(value, list) else []

    found = references(document)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert found
    assert set(found) <= known


def test_what_is_mandatory_and_where_fields_come(document: dict[str, Any]) -> None:
    found = operations(document)
    train = found["Train"]["requestBody"]["content"]["application/json"]["schema"]
    assert train["required"] == ["data_path", "remote_url", "model_type", "model_save_path"]
    assert train["additionalProperties"] is False
    assert train["properties"].keys() == {field.name for field in ser_pb2.TrainRequest.DESCRIPTOR.fields}
    assert set(found["Predict"]["requestBody"]["content"]) == {"application/json", "multipart/form-data", "audio/*"}
    enroll = found["EnrollSpeaker"]["requestBody"]["content"]
    assert set(enroll) == {"application/json", "multipart/form-data"}
    assert enroll["application/json"]["schema"]["required"] == ["speaker", "clips"]  # the model is in the path
    files_in_form = enroll["multipart/form-data"]["schema"]["properties"]["clips"]
    assert files_in_form == {"type": "array", "items": {"type": "string", "contentMediaType": "audio/*"}}
    report = {one["name"]: one["in"] for one in found["GetReport"]["parameters"]}
    assert report == {"model_id": "path", "model_save_path": "query", "x-request-id": "header"}


def test_the_page_needs_no_network_and_takes_nothing_for_markup() -> None:
    page = (files("ser_inference_server.gateway") / "page.html").read_text()
    assert not re.search(r"https?://|src=|@import|innerHTML|document\.write", page)


def test_the_server_does_what_the_document_says(bundle: Bundle, adaptive: Bundle, tmp_path: Path) -> None:
    # No address of a corpus is allowed: whatever is made up, no training starts.
    for one in (bundle, adaptive):
        shutil.copytree(one.folder, tmp_path / "models" / one.manifest.model_id)
    with serve(tmp_path, allowed_schemes="") as server:
        hold(server, tmp_path)


def hold(server: Server, folder: Path) -> None:
    """Bounded and seeded: the same calls each time."""
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.http}/openapi.json", "--seed", "1",
        "--max-examples", "15", "--checks", checks, "--no-color", "--request-timeout", "30",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    assert result.returncode == 0, result.stdout[-5_000:]
