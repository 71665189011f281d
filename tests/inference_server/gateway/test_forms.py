"""Multipart forms, as clients send them and as nobody should."""

from __future__ import annotations

import httpx
import pytest

from ser.errors import ConfigError, LimitError
from ser_inference_server.gateway.forms import MAX_PARTS, MAX_TEXT_BYTES, parse_form

KIND = "multipart/form-data; boundary=B"


def part(name: str, content: bytes, *, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    return f'--B\r\ncontent-disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--B--\r\n"


def test_what_a_client_sends_is_what_comes_out() -> None:
    binary = bytes(range(256)) * 10 + b"\r\n--B" + b"\r\n--"
    request = httpx.Request(
        "POST",
        "http://x",
        files=[("clips", ("a.wav", binary)), ("clips", ('\u00e9".wav', b""))],
        data={"model_id": "m", "text": "\u00e9 \u2028\r\n"},
    )
    body = request.read()
    found = parse_form(body, request.headers["content-type"])
    assert found == [("model_id", "m"), ("text", "\u00e9 \u2028\r\n"), ("clips", binary), ("clips", b"")]


def test_quotes_types_and_what_follows_the_end() -> None:
    body = b'--a b\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; filename="x"; name="a\\"b"\r\n\r\n1'
    assert parse_form(body + b"\r\n--a b--\r\nrest", 'multipart/form-data; Boundary="a b"') == [('a"b', b"1")]
    assert parse_form(b"--B--\r\n", KIND) == []


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (form(part("a", b"1")), "multipart/form-data", "no boundary"),
        (b"", KIND, "does not begin"),
        (b"x" + form(part("a", b"1")), KIND, "does not begin"),
        (part("a", b"1"), KIND, "does not end"),
        (b"--Bx\r\n\r\n--B--", KIND, "end of a line"),
        (b"--B\r\n\r\n1\r\n--B--", KIND, "content-disposition"),
        (b"--B\r\ncontent-disposition: form-data\r\n\r\n1\r\n--B--", KIND, "with a name"),
        (b"--B\r\nx: " + b"y" * 10_000 + b"\r\n\r\n1\r\n--B--", KIND, "8192 bytes"),
        (form(part("a", b"\xff")), KIND, "a: expected UTF-8"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, kind: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"expected a multipart form: .*{says}"):
        parse_form(body, kind)


def test_parts_and_texts_are_bounded() -> None:
    assert len(parse_form(form(*[part("a", b"1")] * MAX_PARTS), KIND)) == MAX_PARTS
    with pytest.raises(LimitError, match="1000 parts"):
        parse_form(form(*[part("a", b"1")] * (MAX_PARTS + 1)), KIND)
    text = b"x" * MAX_TEXT_BYTES
    assert parse_form(form(part("a", text)), KIND) == [("a", text.decode())]
    with pytest.raises(LimitError, match="a: expected text of at most"):
        parse_form(form(part("a", text + b"x")), KIND)
    assert parse_form(form(part("a", text + b"x", filename="")), KIND) == [("a", text + b"x")]
