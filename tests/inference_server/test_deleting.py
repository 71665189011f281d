"""Models that are deleted and replaced while they are used: an answer is the model's, or that there is none."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from ser.bundles.bundle import Bundle
from ser.storage.files import exclusive, partial, replace_folder
from tests.inference_server.harness import Server, serve
from tests.signals import tone, wav

ROUNDS = 25


def put(bundle: Bundle, target: Path) -> None:
    """As a training saves a model: whole, or not at all."""
    with exclusive(target), partial(target) as temporary:
        shutil.copytree(bundle.folder, temporary)
        replace_folder(target, temporary)


def delete_and_put(server: Server, bundle: Bundle, target: Path) -> None:
    with server.client() as client:
        assert client.delete(f"/models/{target.name}").status_code == 200
    put(bundle, target)


def only_put(server: Server, bundle: Bundle, target: Path) -> None:  # noqa: ARG001 - as the other
    put(bundle, target)


@pytest.mark.parametrize(("change", "allowed"), [(delete_and_put, {200, 404}), (only_put, {200})])
def test_under_load(
    bundle: Bundle,
    tmp_path: Path,
    sample: str,
    change: Callable[[Server, Bundle, Path], None],
    allowed: set[int],
) -> None:
    used = bundle.manifest.model_id
    target = tmp_path / "models" / used
    target.parent.mkdir()
    put(bundle, target)
    clip = wav(tone(0.5))
    calls: list[Callable[[httpx.Client], httpx.Response]] = [
        lambda client: client.post("/predict", files={"audio": clip}, data={"model_id": used}),
        lambda client: client.post("/predict", json={"model_id": used, "sample_name": sample}),
        lambda client: client.get(f"/models/{used}"),
        lambda client: client.get(f"/models/{used}/report"),
        lambda client: client.get("/models"),
    ]
    over = threading.Event()

    def load(server: Server, call: Callable[[httpx.Client], httpx.Response]) -> Counter[tuple[int, str]]:
        seen: Counter[tuple[int, str]] = Counter()
        with server.client() as client:
            while not over.is_set():
                answer = call(client)
                seen[answer.status_code, answer.json()["message"] if answer.status_code != 200 else ""] += 1
        return seen

    with serve(tmp_path) as server, ThreadPoolExecutor(len(calls)) as pool:
        running = [pool.submit(load, server, call) for call in calls]
        try:
            for _ in range(ROUNDS):
                change(server, bundle, target)
        finally:
            over.set()
        seen = sum((one.result(60) for one in running), Counter[tuple[int, str]]())
    wrong = {answer: number for answer, number in seen.items() if answer[0] not in allowed}
    assert not wrong, wrong
    assert sum(number for (status, _), number in seen.items() if status == 200) > len(calls)
