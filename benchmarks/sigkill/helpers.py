"""Servers on loopback that trainings fetch from and publish to, each in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.sigkill.stores import BUCKET, store_environment

_SECONDS_TO_START = 60.0


@contextlib.contextmanager
def file_server(folder: Path, port: int = 0) -> Iterator[str]:
    """Serves a folder's files; gives the address."""
    with _process(partial(_serve_files, folder, port)) as address:
        yield address


@contextlib.contextmanager
def object_store() -> Iterator[str | None]:
    """An object store with one bucket; None where there is no moto, a package of the tests."""
    try:
        import moto.server  # noqa: F401 - is it there?
    except ImportError:
        yield None
        return
    with _process(_serve_objects) as address:
        yield address


@contextlib.contextmanager
def _process(serve: Callable[[Connection], None]) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there,), daemon=True)
    process.start()
    if not here.poll(_SECONDS_TO_START):
        process.kill()
        raise RuntimeError(f"no answer of a helper within {_SECONDS_TO_START:g} s")
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


def _serve_files(folder: Path, port: int, tell: Connection) -> None:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))
    tell.send(f"http://127.0.0.1:{server.server_port}")
    server.serve_forever()


def _serve_objects(tell: Connection) -> None:
    import boto3  # type: ignore[import-untyped]
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.update(store_environment(f"http://{host}:{port}"))
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    tell.send(f"http://{host}:{port}")
    server._thread.join()  # type: ignore[union-attr]  # it serves until this process is killed
