"""Bearer tokens: what a file of them may say, and what each may do."""

from __future__ import annotations

import socket
from pathlib import Path

import grpc
import pytest

from ser.errors import ForbiddenError
from ser_api.v1 import ser_pb2
from ser_inference_server.failures import UnauthenticatedError
from ser_inference_server.grpc_server import SERVICE
from ser_inference_server.tokens import MAX_BYTES, RIGHTS, Right, Tokens
from tests.inference_server.harness import serve
from tests.inference_server.test_security import refused

PREDICTS = {"Predict", "StreamPredict", "ListModels", "GetModel", "GetReport"}


def read(folder: Path, content: str | bytes) -> Tokens:
    path = folder / "tokens"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Tokens(path)


def test_every_rpc_has_its_right() -> None:
    assert RIGHTS.keys() == {rpc.name for rpc in SERVICE.methods}
    assert {name for name, right in RIGHTS.items() if right is Right.PREDICT} == PREDICTS


def test_a_token_has_the_rights_of_its_line(tmp_path: Path) -> None:
    tokens = read(tmp_path, "\ufeff# ours\n\nall\n  may-manage\tmanage \r\nmay-predict predict\n#gone predict\n")
    for token in ("all", "may-manage"):
        for right in Right:
            assert tokens.caller(f"Bearer {token}", right)
    assert tokens.caller("bearer  may-predict ", Right.PREDICT)
    with pytest.raises(ForbiddenError, match="wants a token with the right manage, yours has the right predict"):
        tokens.caller("Bearer may-predict", Right.MANAGE)
    callers = {tokens.caller(f"Bearer {token}", Right.PREDICT) for token in ("all", "may-manage", "may-predict")}
    assert len(callers) == 3
    assert not any(token in " ".join(callers) for token in ("all ", "may-manage", "may-predict"))


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "all", "Basic all", "Bearer ALL", "Bearer al", "Bearer alll", "Bearer all predict",
     "Bearer #", "Bearer # ours", "Bearer caf\xe9", "Bearer \ud800"],
)  # fmt: skip
def test_what_is_no_token_of_the_file(tmp_path: Path, header: str | None) -> None:
    with pytest.raises(UnauthenticatedError, match="expected a bearer token"):
        read(tmp_path, "# ours\nall\n").caller(header, Right.PREDICT)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("good\nsecret delete\n", "line 2 of .*: expected nothing behind the token but predict or manage"),
        ("good\nsecret Predict\n", "line 2 of .*predict or manage"),
        ("good\nsecret predict manage\n", "line 2 of .*predict or manage"),
        ("good\nsecret # mine\n", "line 2 of .*predict or manage"),
        ("good\nsecret-é\n", "line 2 of .*visible ASCII"),
        (b"good\nsecret\xff\n", "line 2 of .*visible ASCII"),
        ("good\nsecret\x00\n", "line 2 of .*visible ASCII"),
        ("good\nsecret" + "x" * 4096, "line 2 of .*at most 4096"),
        ("secret\n# again\nsecret predict\n", "line 3 of .*expected each token once"),
        ("\n# nothing\n", "at least one token"),
        ("secret\n" + "#" * MAX_BYTES, "expected at most 1048576 bytes"),
    ],
)
def test_a_line_of_another_form_is_named_and_its_token_is_not(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        read(tmp_path, content)
    assert "secret" not in str(error.value)


def test_a_wrong_file_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret-word delete\n")
    said = refused(tmp_path, token_file=tmp_path / "tokens")
    assert "token_file: line 1 of" in said
    assert "secret-word" not in said


def test_a_token_that_may_predict_can_neither_train_nor_delete(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("boss\nguest predict\n")
    # Whichever RPC it is, it is let in or not before its message is looked at.
    with (
        serve(tmp_path / "server", token_file=tmp_path / "tokens") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        for rpc in SERVICE.methods:
            call = channel.stream_stream(f"/{SERVICE.full_name}/{rpc.name}")
            for token, allowed in (("boss", True), ("guest", rpc.name in PREDICTS)):
                with pytest.raises(grpc.RpcError) as failed:
                    list(call(iter([b"\xff"]), metadata=[("authorization", f"Bearer {token}")], timeout=20))
                code: grpc.StatusCode = failed.value.code()  # type: ignore[attr-defined]
                assert (code is grpc.StatusCode.INVALID_ARGUMENT) == allowed, (rpc.name, token, code)
                assert (code is grpc.StatusCode.PERMISSION_DENIED) != allowed, (rpc.name, token, code)
        with server.client(headers={"authorization": "Bearer guest"}) as client:
            assert client.get("/models").status_code == 200
            assert client.get("/metrics").status_code == 200
            for answer in (
                client.delete("/models/x"),
                client.post("/train", json=server.request()),
                client.post("/jobs", json=server.request()),
                client.get("/jobs"),
                client.delete("/models/x/speakers/anna"),
            ):
                assert (answer.status_code, answer.json()["code"]) == (403, 7)
                assert "the right manage" in answer.json()["message"]
        with server.client(headers={"authorization": "Bearer boss"}) as client:
            assert client.get("/jobs").json()["jobs"] == []
            assert client.delete("/models/x").status_code == 404


def test_a_token_in_other_letters_is_a_wrong_one_over_both_protocols(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("caf-e\n")
    with serve(tmp_path / "server", token_file=tmp_path / "tokens") as server, server.stub() as stub:
        host, port = server.http.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 20) as connection:
            connection.sendall("GET /models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer café\r\n\r\n".encode())
            assert connection.recv(1_000).startswith(b"HTTP/1.1 401")
        with pytest.raises((grpc.RpcError, ValueError)):
            stub.ListModels(ser_pb2.ListModelsRequest(), metadata=[("authorization", "Bearer café")])
