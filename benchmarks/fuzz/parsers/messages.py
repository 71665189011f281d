"""Requests in each of their forms: JSON, multipart and other forms, query strings, Protobuf.

The input's first line is the name of the request's type; what follows is parsed as that, and of a training its fields
are held against their types as well, as the service does before anything else.
"""

from __future__ import annotations

import random
import urllib.parse
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.datastructures import Headers

from benchmarks.fuzz.mutation import mutate
from benchmarks.fuzz.parser import Parser, Surroundings, expect
from benchmarks.fuzz.parsers import requests
from benchmarks.fuzz.trees import SCALARS, mutate_tree, to_text
from ser.config import parse
from ser.request import TrainRequest
from ser_inference_server import convert, grpc_server
from ser_inference_server.gateway import requests as gateway
from ser_inference_server.gateway import strict_json
from ser_inference_server.gateway.json_messages import from_text, to_message

_TYPES = requests.types()
_BOUNDARY = "x0123456789"


def json_body(_: Surroundings) -> Parser:
    """A body of JSON."""
    names = requests.field_names()

    def content(rng: random.Random, name: str) -> bytes:
        tree = requests.as_json(rng.choice(requests.examples(name)))
        return mutate_tree(rng, tree, names) if rng.random() < 0.8 else mutate(rng, [to_text(tree).encode()])

    def read(data: bytes, descriptor: Any) -> Message:
        return to_message(strict_json.parse(data), GetMessageClass(descriptor)())

    return _of_each_type(content, read)


def query(_: Surroundings) -> Parser:
    """A query string, or the same as a body."""

    def content(rng: random.Random, name: str) -> bytes:
        return mutate(rng, [_urlencoded(rng, name)])

    def read(data: bytes, descriptor: Any) -> Message:
        pairs = urllib.parse.parse_qsl(data.decode("latin-1"), keep_blank_values=True)
        return to_message(from_text(pairs, descriptor), GetMessageClass(descriptor)())

    return _of_each_type(content, read)


def form(_: Surroundings) -> Parser:
    """A form: multipart or urlencoded, its content type in the input's second line."""

    def content(rng: random.Random, name: str) -> bytes:
        if rng.random() < 0.3:
            head, body = b"application/x-www-form-urlencoded", _urlencoded(rng, name)
        else:
            head, body = f"multipart/form-data; boundary={_BOUNDARY}".encode(), _multipart(rng, name)
        if rng.random() < 0.1:
            head = mutate(rng, [head, b"multipart/form-data", b"multipart/form-data; boundary=", b"text/plain"])
        return head.replace(b"\n", b" ") + b"\n" + mutate(rng, [body])

    def read(data: bytes, descriptor: Any) -> Message:
        head, _, body = data.partition(b"\n")
        headers = Headers(raw=[(b"content-type", head)])
        return gateway._with_body({}, body, gateway.kind_of(headers), headers, descriptor)

    return _of_each_type(content, read)


def protobuf(_: Surroundings) -> Parser:
    """A message of gRPC."""
    seeds = {name: [_message(name, one) for one in requests.examples(name)] for name in _TYPES}
    others = [seed for many in seeds.values() for seed in many]

    def content(rng: random.Random, name: str) -> bytes:
        return mutate(rng, seeds[name] if rng.random() < 0.8 else others)

    def read(data: bytes, descriptor: Any) -> Message:
        return grpc_server._parse(data, GetMessageClass(descriptor))

    return _of_each_type(content, read)


def _of_each_type(content: Callable[[random.Random, str], bytes], read: Callable[[bytes, Any], Message]) -> Parser:
    def make(rng: random.Random) -> bytes:
        name = rng.choice(list(_TYPES))
        return name.encode() + b"\n" + content(rng, name)

    def take(data: bytes) -> None:
        name, _, rest = data.partition(b"\n")
        message = read(rest, _TYPES[name.decode()])
        expect(message.DESCRIPTOR.name == name.decode(), f"a {name.decode()}, got {message.DESCRIPTOR.name}")
        if name == b"TrainRequest":
            parse(TrainRequest, convert.train_fields(message))  # type: ignore[arg-type]  # it is one

    return Parser(make, take)


def _message(name: str, value: Any) -> bytes:
    content = requests.as_json(value)
    return to_message(content, GetMessageClass(_TYPES[name])()).SerializeToString()


def _pairs(rng: random.Random, name: str) -> list[tuple[str, Any]]:
    """A request's fields as text, one of them perhaps another's, or something odd."""
    pairs = list(rng.choice(requests.examples(name)).items())
    texts = [(key, item if isinstance(item, bytes | str) else to_text(requests.as_json(item))) for key, item in pairs]
    if rng.random() < 0.5:
        odd = rng.choice(SCALARS)
        texts.append((rng.choice([*requests.field_names(), "x", ""]), odd if isinstance(odd, str) else to_text(odd)))
    return texts


def _urlencoded(rng: random.Random, name: str) -> bytes:
    pairs = [(key, b"x" if isinstance(item, bytes) else item) for key, item in _pairs(rng, name)]
    return urllib.parse.urlencode(pairs, errors="surrogatepass").encode()


def _multipart(rng: random.Random, name: str) -> bytes:
    parts = []
    for key, item in _pairs(rng, name):
        file = isinstance(item, bytes)
        content = requests.recording() if file else item.encode("utf-8", "surrogatepass")
        kind = '; filename="a.wav"\r\ncontent-type: audio/wav' if file else ""
        head = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{key}"{kind}\r\n\r\n'
        parts.append(head.encode("utf-8", "surrogatepass") + content + b"\r\n")
    return b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()
