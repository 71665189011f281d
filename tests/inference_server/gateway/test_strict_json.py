"""JSON that readers disagree about is refused, and every place of it named."""

from __future__ import annotations

import json

import pytest
from websockets.sync.client import connect

from ser.errors import ConfigError
from ser_inference_server.gateway.strict_json import MAX_DEPTH, parse
from tests.inference_server.harness import Server


def fields(text: bytes | str, at: str = "") -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse(text, at=at)
    str(error.value).encode()  # it can be sent
    return [violation.field for violation in error.value.violations]


def test_json_is_taken() -> None:
    text = '{"a": [1, -2.5, true, null, "caf\u00e9 \\ud83d\\ude00"], "b": {"a": 1e300, "c": 12345678901234567890}}'
    assert parse(text.encode()) == parse(text) == json.loads(text)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nan", b'{"a": NaN}', b'{"a": -Infinity}', b"\xff", b"[" * 9_000, b'{"a":' * 4_000, b"{} {}"],
)
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(ConfigError, match="expected a body of JSON"):
        parse(body)
    with pytest.raises(ConfigError, match="model_config: expected JSON"):
        parse(body, at="model_config")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"a": 1, "a": 1}', ["a"]),
        ('{"a": 1, "a": 1, "a": 2, "b": {"c": 1, "c": 2}}', ["a", "b.c"]),
        ('{"a": [{"b": 1}, {"b": 1, "b": 2}]}', ["a[1].b"]),
        ('{"a": 1e400, "b": [-1e400]}', ["a", "b[0]"]),
        ('{"a": ' + "9" * 309 + "}", ["a"]),
        ('{"a": -' + "9" * 5_000 + "}", ["a"]),
        (r'{"a": "\ud800", "b": "\udc00\ud800"}', ["a", "b"]),
        (r'{"\ud800": 1}', [r"\ud800"]),
        (r'{"\ud800": 1, "\ud800": 2}', [r"\ud800", r"\ud800"]),
    ],
)
def test_what_readers_disagree_about(text: str, wrong: list[str]) -> None:
    assert fields(text) == wrong
    assert fields(text.encode(), "model_config") == [f"model_config.{name}" for name in wrong]


def test_depth_is_bounded() -> None:
    for opening, closing in (('{"a":', "}"), ("[", "]")):
        parse(opening * MAX_DEPTH + "1" + closing * MAX_DEPTH)
        with pytest.raises(ConfigError, match="expected at most 32 objects and arrays in each other"):
            parse(opening * (MAX_DEPTH + 2) + "1" + closing * (MAX_DEPTH + 2))


def test_over_http_and_websocket_its_place_is_named(server: Server) -> None:
    train = json.dumps(server.request())[:-1]
    for more, field in ((', "model_config": {"lr": 1e400}}', "model_config.lr"), (', "data_path": "x"}', "data_path")):
        with server.client() as client:
            text = (train + more).replace('"model_config": {"epochs": 2}, ', "")
            answer = client.post("/train", content=text.replace(', "model_config": {"epochs": 2}}', "}"))
        assert (answer.status_code, answer.json()["code"]) == (400, 3), answer.text
        violations = answer.json()["details"][0]["field_violations"]
        assert field in [violation["field"] for violation in violations]
    with connect(f"{server.http.replace('http', 'ws')}/predict/stream") as socket:
        socket.send('{"config": {"model_id": "a", "model_id": "b"}}')
        assert "config.model_id: expected once" in json.loads(socket.recv(20))["error"]["message"]
