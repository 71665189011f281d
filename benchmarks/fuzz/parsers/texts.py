"""Addresses of corpora, and bearer tokens. No address leads to a name, so nothing is asked of the network."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import re
import urllib.parse

from benchmarks.fuzz.mutation import mutate
from benchmarks.fuzz.parser import Parser, Surroundings, expect
from ser.sources import open_source
from ser.sources.http import HttpSource
from ser.storage.access import Access

_ADDRESSES = (
    "http://192.0.2.1/corpus.zip", "https://192.0.2.1:8443/a/b.zip?x=y#z", "http://user:word@192.0.2.1/x",
    "http://[::1]/x", "http://[::ffff:127.0.0.1]/x", "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/x",
    "http://[fec0::1]/", "http://127.1/x", "http://0177.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://0/",
    "http://169.254.169.254/latest", "http://[fe80::1%25lo]/", "http://1.1.1.1:0/", "http://1.1.1.1:65536/",
    "http://1.1.1.1:x/", "http:///x", "http://", "file:///etc/passwd", "file://192.0.2.1/x", "embedded:",
    "embedded:?clips=70&seed=1", "embedded:?clips=999999999&seed=0", "embedded:?clips=\u0661", "ftp://1.1.1.1/x",
    "javascript:alert(1)", "data:,x", "/etc/passwd", "~root/x", "~/x", "~nobody-at-all/x", "", " ", "\x00", "a\x00b",
    "http://1.1.1.1\\@127.0.0.1/", "http://1.1.1.1/\r\nX: y", "http://\uff11.1.1.1/", "http://1\u3002" "1.1.1/",
    "//1.1.1.1/x", "s3://bucket/x", "http://1.1.1.1/x.yaml", "http://[::1", "http://]", "http://[v1.x]/",
)  # fmt: skip
_HEADERS = ("Bearer secret", "bearer  secret ", "Basic c2VjcmV0", "Bearer", "", "Bearer sécret", "Bearer secret\x00")
_PUBLIC_ONLY = Access(frozenset({"http", "https", "embedded"}), private=False)


def address(_: Surroundings) -> Parser:
    """`open_source` and `Source.check` with a server's rules: what passes is public."""
    seeds = [text.encode("utf-8", "surrogatepass") for text in _ADDRESSES]

    def take(data: bytes) -> None:
        source = open_source(data.decode("utf-8", "surrogateescape"), _PUBLIC_ONLY)
        expect(bool(source.description) or source.description == "", "a description")
        if not isinstance(source, HttpSource):
            return
        host = urllib.parse.urlsplit(source.url).hostname or ""
        if re.fullmatch(r"[0-9a-fx.]+|\[?[0-9a-f:.]+\]?", host) is None:
            return  # a name: it would be asked for
        source.check()
        try:
            ip = ipaddress.ip_address(host)
        except ValueError:
            return
        expect(ip.is_global, f"public addresses only, {ip} passed")

    return Parser(lambda rng: mutate(rng, seeds), take)


def tokens(around: Surroundings) -> Parser:
    """A header held against a file of tokens: only the token in it passes."""
    from ser_inference_server.calls import Calls
    from ser_inference_server.settings import Settings
    from ser_inference_server.tokens import Right

    path = around.scratch / "tokens"
    path.write_text("# a comment\nsecret\n\nothersecret\n", encoding="utf-8")
    asyncio.set_event_loop(asyncio.new_event_loop())
    calls = Calls(Settings(token_file=path))
    seeds = [text.encode("latin-1") for text in _HEADERS]

    def make(rng: random.Random) -> bytes:
        return mutate(rng, seeds)

    def take(data: bytes) -> None:
        header = data.decode("latin-1")
        calls.authorise(header, Right.MANAGE, address="")
        given = header.partition(" ")[2].strip()
        expect(given in ("secret", "othersecret"), f"one of the tokens, {given!r} passed")

    return Parser(make, take)
