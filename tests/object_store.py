"""Servers on loopback that speak the protocols of S3 and of Google's Cloud Storage, for tests."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer
from typing import Any
from urllib.parse import quote

import boto3
import fsspec
import httpx
import pytest
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage
from moto.server import ThreadedMotoServer

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def gs_endpoint() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), partial(RequestHandler, Storage(use_memory_fs=True)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def s3_bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an empty bucket in S3; the environment leads every client to it, and has a cache of its own."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SER_CACHE_ROOT": str(tmp_path_factory.mktemp("cache")),
    }.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{next(_NUMBERS)}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture
def gs_bucket(gs_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same in Cloud Storage."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gs_endpoint)
    # gcsfs would ask by gRPC, which the emulator does not speak, of what kind the bucket is.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    monkeypatch.setenv("SER_CACHE_ROOT", str(tmp_path_factory.mktemp("cache")))
    name = f"bucket-{next(_NUMBERS)}"
    _cloud_storage("POST", "/storage/v1/b", json={"name": name})
    return f"gs://{name}"


def objects(address: str) -> dict[str, bytes]:
    """All objects of a bucket, past SER: key to content."""
    scheme, name = address.split("/")[0], address.split("/")[2]
    if scheme == "gs:":
        found = _cloud_storage("GET", f"/storage/v1/b/{name}/o").json().get("items", [])
        links = {entry["name"]: quote(entry["name"], safe="") for entry in found}
        return {
            key: _cloud_storage("GET", f"/download/storage/v1/b/{name}/o/{link}", params={"alt": "media"}).content
            for key, link in links.items()
        }
    client = boto3.client("s3")
    found = client.list_objects_v2(Bucket=name).get("Contents", [])
    return {entry["Key"]: client.get_object(Bucket=name, Key=entry["Key"])["Body"].read() for entry in found}


def put(address: str, key: str, content: bytes) -> None:
    """Writes an object into a bucket, past SER."""
    scheme, name = address.split("/")[0], address.split("/")[2]
    if scheme == "gs:":
        parameters = {"uploadType": "media", "name": key}
        _cloud_storage("POST", f"/upload/storage/v1/b/{name}/o", params=parameters, content=content)
    else:
        boto3.client("s3").put_object(Bucket=name, Key=key, Body=content)


def _cloud_storage(method: str, path: str, **more: Any) -> httpx.Response:
    return httpx.request(method, os.environ["STORAGE_EMULATOR_HOST"] + path, **more).raise_for_status()
