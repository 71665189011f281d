"""Enrolment, publishing to a folder and to an object store, deletion: what changes models that are there."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.server_process import clip
from benchmarks.sigkill.scenarios import Scenario, contents, whole_models
from ser.bundles.bundle import Bundle
from ser.bundles.manifest import REPORT
from ser.bundles.model_store import delete_bundle, find_bundle, list_models, save_bundle
from ser.errors import NotFoundError, SerError
from ser.predictor import Predictor

BUCKET = "ser"
_SPEAKERS = ("anna", "ben", "cleo", "dora")
_GONE = "emil"


def scenarios(plain: Path, adaptive: Path, s3: str | None) -> Iterator[Scenario]:
    """All of them.

    Args:
        plain: The folder of a model.
        adaptive: The folder of one that adapts to speakers.
        s3: Address of the endpoint of an object store; None if there is none here.
    """
    voices = partial(_copy, adaptive)
    yield Scenario("enrol", _enroll, voices, _check, weight=3)
    yield Scenario("delete a model", _delete, partial(_with_voices, adaptive), _check, weight=3)
    yield Scenario("publish to a folder", partial(_publish, plain), _empty, _check, weight=3)
    yield Scenario("publish over another", partial(_publish, plain), partial(_other, plain), _check, weight=1.5)
    if s3 is not None:
        to_store = partial(_publish_to_store, s3, plain)
        check, result = partial(_check_store, s3), partial(_objects, s3)
        yield Scenario("publish to an object store", to_store, _empty, check, result, weight=2)


def _empty(folder: Path) -> None:
    folder.mkdir()
    (folder.parent / "place").write_text(secrets.token_hex(8))


def _copy(model: Path, folder: Path) -> None:
    shutil.copytree(model, folder / "models" / model.name)


def _with_voices(model: Path, folder: Path) -> None:
    _copy(model, folder)
    _enroll(folder)


def _other(model: Path, folder: Path) -> None:
    """A published model that is not whole, which publishing replaces."""
    target = folder / "models" / model.name
    _copy(model, folder)
    shutil.rmtree(target / REPORT)


def _enroll(folder: Path) -> None:
    predictor = Predictor(folder / "models", list_models(folder / "models")[0])
    for number, speaker in enumerate(_SPEAKERS):
        predictor.enroll(speaker, [clip(0.5 + 0.1 * number)], replace=True)
    predictor.enroll(_GONE, [clip(0.4)], replace=True)
    predictor.speakers.delete(_GONE)


def _delete(folder: Path) -> None:
    # Those that are gone too, whose voices may be left: whoever deletes a model again knows its name.
    for model_id in {path.name for path in (*folder.glob("models/[!.]*"), *folder.glob("models/.speakers/[!.]*"))}:
        with contextlib.suppress(NotFoundError):
            delete_bundle(folder / "models", model_id)


def _publish(model: Path, folder: Path) -> None:
    save_bundle(model, model / REPORT, folder / "models")


def _check(folder: Path) -> list[str]:
    """Models open, and every enrolled voice fits its model."""
    problems = whole_models(folder / "models")
    for model_id in list_models(folder / "models"):
        predictor = Predictor(folder / "models", model_id)
        if not predictor.bundle.adapts:
            continue
        enrolled = {path.stem for path in (folder / "models" / ".speakers" / model_id).glob("[!.]*.npz")}
        for speaker in enrolled:
            try:
                predictor.known(speaker)
            except SerError as error:
                problems.append(f"a voice is there and is not whole: {error}")
    return problems


def store_environment(endpoint: str) -> dict[str, str]:
    """What leads every client to an object store on loopback."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _address(folder: Path) -> str:
    """A place of each folder's own in the store."""
    return f"s3://{BUCKET}/{(folder.parent / 'place').read_text()}/models"


def _publish_to_store(endpoint: str, model: Path, folder: Path) -> None:
    os.environ.update(store_environment(endpoint))
    save_bundle(model, model / REPORT, _address(folder))


def _check_store(endpoint: str, folder: Path) -> list[str]:
    os.environ.update(store_environment(endpoint))
    os.environ["SER_CACHE_ROOT"] = str(folder.parent / "another-cache")
    problems = []
    for model_id in list_models(_address(folder)):
        try:
            Bundle(find_bundle(_address(folder), model_id))
        except SerError as error:
            problems.append(f"a model is listed in the store and is not whole: {error}")
    return problems


def _objects(endpoint: str, folder: Path) -> dict[str, str]:
    """What the store has, as another machine gets it, and the names of all objects."""
    import boto3  # type: ignore[import-untyped]

    os.environ.update(store_environment(endpoint))
    os.environ["SER_CACHE_ROOT"] = str(folder.parent / "another-cache")
    address = _address(folder)
    (model_id,) = list_models(address)
    there: dict[str, Any] = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=address.split("/", 3)[3])
    names = {"/".join(one["Key"].split("/")[2:]): "there" for one in there["Contents"]}
    return {**contents(find_bundle(address, model_id)), **{f"object {name}": value for name, value in names.items()}}
