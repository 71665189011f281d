"""The calls of the mix, good and bad."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos.answers import OK, Answer, same
from benchmarks.chaos.client import Client
from benchmarks.chaos.events import CHANGING, VICTIM
from benchmarks.server_process import clip
from ser.bundles.manifest import Manifest
from ser_api.v1 import ser_pb2

Judge = Callable[[Answer, Answer], bool]


@dataclass(frozen=True)
class Kind:
    """One kind of call."""

    name: str
    ask: Callable[[Client], Answer]
    weight: int = 1
    """How often it is made."""
    touches: frozenset[str] = frozenset()
    """See `benchmarks.chaos.events`."""
    judge: Judge = Answer.agrees
    """Whether an answer (first) is right, by that of an idle server."""


@dataclass(frozen=True)
class Models:
    """The models that are served."""

    plain: Path
    adaptive: Path
    victim: Path
    """Is deleted and put back."""
    changing: tuple[Path, Path]
    """Two models of one id, which replace each other; each lies elsewhere, the first is served in the beginning."""


def kinds(models: Models) -> list[Kind]:
    """All of them."""
    return [*_predictions(models), *_voices(models), *_others(models), *_bad(models), *_vanishing(models)]


def _predictions(models: Models) -> list[Kind]:
    short, long, pcm = clip(1.0), clip(3.0), clip(4.0)[44:]
    plain, adaptive, victim = (path.name for path in (models.plain, models.adaptive, models.victim))
    changing = models.changing[0].name
    sample = Manifest.load(models.plain).validation_samples[0]
    several = {"model_id": plain, "clips": [{"audio": b64encode(one).decode()} for one in (short, long)]}
    config = {"model_id": plain, "window_seconds": 2, "hop_seconds": 1}
    told = {"model_id": adaptive, "enrollment_clips": [b64encode(short).decode()], "audio": b64encode(long).decode()}
    return [
        _recording("recording", plain, long, weight=12),
        _recording("another model", adaptive, short, weight=2),
        _recording("a model that is deleted", victim, short, frozenset({VICTIM}), weight=3),
        _recording("a model that is replaced", changing, short, frozenset({CHANGING}), _of_one_version, weight=3),
        Kind("several recordings", lambda c: c.json("POST", "/predict", several)),
        Kind("clips of the speaker", lambda c: c.json("POST", "/predict", told)),
        Kind("sample", lambda c: c.json("POST", "/predict", {"model_id": plain, "sample_name": sample})),
        Kind("gRPC", lambda c: c.rpc("Predict", ser_pb2.PredictRequest(model_id=plain, audio=long)), weight=4),
        Kind("gRPC stream", lambda c: c.stream(config, pcm, 9_000)),
        Kind("WebSocket", lambda c: c.socket(config, pcm, 9_000)),
    ]


def _recording(
    name: str,
    model_id: str,
    body: bytes,
    touches: frozenset[str] = frozenset(),
    judge: Judge = Answer.agrees,
    weight: int = 1,
) -> Kind:
    path = f"/predict?model_id={model_id}"
    return Kind(name, lambda c: c.http("POST", path, body, "audio/wav"), weight, touches, judge)


def _of_one_version(got: Answer, expected: Answer) -> bool:
    """The probabilities of the version that the answer names; `expected` has those of both, by their digests."""
    version = got.value.get("model", {}).get("sha256") if got.outcome == OK else None
    return version in expected.value and same(got.value, expected.value[version])


def _voices(models: Models) -> list[Kind]:
    model_id, sound, other = models.adaptive.name, clip(1.0), clip(1.5)

    def enrol_predict_forget(client: Client) -> Answer:
        name = f"caller-{client.number}"
        place = f"/models/{model_id}/speakers"
        known = json.dumps({"speaker": name, "clips": [b64encode(sound).decode()], "replace": True}).encode()
        answers = []
        for verb, path, body, kind in (
            ("POST", place, known, "application/json"),
            ("POST", f"/predict?model_id={model_id}&speaker={name}", other, "audio/wav"),
            ("DELETE", f"{place}/{name}", b"", "application/json"),
        ):
            answer = client.http(verb, path, body, kind)
            if answer.outcome != OK:
                return answer
            answers.append({**answer.value, "speaker": "NAME"})
        return Answer(OK, answers)

    return [Kind("enrol, predict, forget", enrol_predict_forget)]


def _others(models: Models) -> list[Kind]:
    plain = models.plain.name

    def models_but(got: Answer, expected: Answer) -> bool:
        """All models are there but those that come and go, and what is there is right."""
        if got.outcome != expected.outcome:
            return False
        ours, theirs = ({one["model_id"]: one for one in answer.value["models"]} for answer in (got, expected))
        coming = {models.victim.name, models.changing[0].name}
        return theirs.keys() - coming <= ours.keys() <= theirs.keys() and all(
            same(one, theirs[name]) for name, one in ours.items() if name not in coming
        )

    def lively(got: Answer, _: Answer) -> bool:
        return got.outcome == OK

    return [
        Kind("list of models", lambda c: c.http("GET", "/models"), judge=models_but),
        Kind("a model", lambda c: c.http("GET", f"/models/{plain}")),
        Kind("report", lambda c: c.http("GET", f"/models/{plain}/report")),
        Kind("readiness", lambda c: c.http("GET", "/readyz")),
        Kind("metrics", lambda c: c.http("GET", "/metrics"), judge=lively),
    ]


def _bad(models: Models) -> list[Kind]:
    predict, sound = f"/predict?model_id={models.plain.name}", clip(1.0)
    unknown = ser_pb2.PredictRequest(model_id="none", audio=sound)
    return [
        Kind("no audio", lambda c: c.http("POST", predict, b"hello", "audio/wav")),
        Kind("cut short", lambda c: c.http("POST", predict, sound[:5_000], "audio/wav")),
        Kind("unknown field", lambda c: c.http("POST", "/predict", b'{"colour": 1}')),
        Kind("no JSON", lambda c: c.http("POST", "/predict", b'{"model_id": ')),
        Kind("no model", lambda c: c.http("POST", "/predict?model_id=none", sound, "audio/wav")),
        Kind("no model, gRPC", lambda c: c.rpc("Predict", unknown)),
        Kind("no such path", lambda c: c.http("GET", "/nowhere")),
        Kind("another verb", lambda c: c.http("PUT", "/predict", b"{}")),
        Kind("another site", lambda c: c.http("GET", "/models", origin="http://example.org")),
        Kind("a path outside", lambda c: c.http("GET", "/models?model_save_path=/etc")),
        Kind("no such job", lambda c: c.http("GET", "/jobs/job-0000000000000000")),
    ]


def _vanishing(models: Models) -> list[Kind]:
    sound = clip(3.0)
    head = (
        f"POST /predict?model_id={models.plain.name} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: audio/wav\r\n"
        f"content-length: {len(sound)}\r\n\r\n"
    ).encode()
    return [
        Kind("gone within the head", lambda c: c.vanish(head[:40])),
        Kind("gone within the body", lambda c: c.vanish(head + sound[:20_000])),
        Kind("gone before the answer", lambda c: c.vanish(head + sound)),
    ]


def message_of(value: Mapping[str, Any]) -> str:
    """A value in a line of a report."""
    text = json.dumps(value)
    return text if len(text) < 300 else f"{text[:300]}…"
