"""How many calls are taken at once, of all and of each caller."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from ser.bundles.bundle import Bundle
from ser.errors import Code, SerError
from ser_api.v1 import ser_pb2
from ser_inference_server.admission import Admission, caller_of
from ser_inference_server.calls import Calls
from ser_inference_server.failures import OverloadedError
from ser_inference_server.settings import Settings
from tests.inference_server.callers import waiting
from tests.inference_server.harness import serve


def admission() -> Admission:
    return Admission(Settings(max_calls=4, max_streams=3, max_calls_per_caller=2, max_streams_per_caller=1))


def test_one_caller_cannot_take_all_places() -> None:
    places = admission()
    for _ in range(2):
        places.take("a", long=False)
    with pytest.raises(OverloadedError, match=r"2 calls of yours .*SER_MAX_CALLS_PER_CALLER"):
        places.take("a", long=False)
    places.take("a", long=True)  # those that stay open have places of their own
    with pytest.raises(OverloadedError, match="SER_MAX_STREAMS_PER_CALLER"):
        places.take("a", long=True)
    for caller in ("b", "c"):
        places.take(caller, long=False)
    with pytest.raises(OverloadedError, match=r"4 calls are under way.*SER_MAX_CALLS\)"):
        places.take("d", long=False)


def test_a_place_comes_back_whatever_happened() -> None:
    calls = Calls(Settings(max_calls=4, max_streams=3, max_calls_per_caller=2, max_streams_per_caller=1))

    async def fail() -> None:
        async with calls.enter("Train", "http", request_id="x", authorization=None, address="10.1.2.3", long=True):
            raise SilenceError

    async def one_too_many() -> None:
        async with contextlib.AsyncExitStack() as held:
            for _ in range(3):
                entered = calls.enter("Predict", "http", request_id="x", authorization=None, address="10.1.2.3")
                await held.enter_async_context(entered)

    async def many() -> None:
        for _ in range(10):
            with pytest.raises(SilenceError):
                await fail()
            with pytest.raises(OverloadedError):
                await one_too_many()

    asyncio.run(many())
    for places in (calls._admission._short, calls._admission._long):
        assert places._taken == 0
        assert not places._taken_by  # who is gone leaves nothing


class SilenceError(SerError):
    code = Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::2", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("a:b", "a:b"),
    ],
)
def test_whom_an_address_stands_for(address: str, caller: str) -> None:
    assert caller_of(address) == caller


def test_each_token_has_its_own_places(bundle: Bundle, tmp_path: Path) -> None:
    model_id = bundle.manifest.model_id
    shutil.copytree(bundle.folder, tmp_path / "models" / model_id)
    (tmp_path / "tokens").write_text("one\ntwo predict\n")
    done = threading.Event()

    def listen(token: str) -> Iterator[ser_pb2.StreamPredictResponse]:
        return stub.StreamPredict(waiting(model_id, done), metadata=[("authorization", f"Bearer {token}")], timeout=60)  # type: ignore[no-any-return]

    limits = {"max_streams_per_caller": 2, "max_streams": 3}
    with serve(tmp_path, token_file=tmp_path / "tokens", **limits) as server, server.stub() as stub:
        held = [listen("one"), listen("one")]
        for call in held:
            next(call)
        with pytest.raises(grpc.RpcError) as failed:
            next(listen("one"))
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
        assert "SER_MAX_STREAMS_PER_CALLER" in failed.value.details()  # type: ignore[attr-defined]
        assert dict(failed.value.trailing_metadata())["retry-after"] == "1"  # type: ignore[attr-defined]
        with server.client(headers={"authorization": "Bearer one"}) as client:
            answer = client.post("/train", json=server.request())
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        held.append(listen("two"))
        next(held[-1])
        with pytest.raises(grpc.RpcError) as failed:
            next(listen("two"))
        assert "(SER_MAX_STREAMS)" in failed.value.details()  # type: ignore[attr-defined]
        done.set()
        for call in held:
            list(call)


def test_without_tokens_a_caller_is_an_address_whichever_its_protocol(bundle: Bundle, tmp_path: Path) -> None:
    model_id = bundle.manifest.model_id
    shutil.copytree(bundle.folder, tmp_path / "models" / model_id)
    done = threading.Event()

    with serve(tmp_path, max_streams_per_caller=1) as server, server.stub() as stub, server.client() as client:
        held = stub.StreamPredict(waiting(model_id, done), timeout=60)
        next(held)
        refused = client.post("/train", json=server.request())
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "SER_MAX_STREAMS_PER_CALLER" in refused.json()["message"]
        done.set()
        list(held)
