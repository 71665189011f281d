"""What the ONNX files on this machine were fetched from: their paths and addresses, by which they may be named.

An encoder is its digest. Where it came from is remembered beside the encoders, so that a file or an address that was
fetched once can be written in its place.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from ser.encoders.catalogue import ENCODERS, EncoderRecord, OnnxRecord, encoder_record
from ser.encoders.storage import encoder_root
from ser.errors import Code, ConfigError, FieldViolation, SerError
from ser.storage.files import read_json, sha256, write_json
from ser.storage.stored_file import storage_errors

HUB, SUFFIX = "hf://", ".onnx"
HUB_VARIABLE = "HF_ENDPOINT"
"""Environment variable: the address of Hugging Face, or of a mirror, as its own tools read it."""
_HUB_HOME = "https://huggingface.co"
_HUB_ADDRESS = re.compile(
    r"hf://(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:@(?P<revision>[\w.-]+))?/(?P<path>[\w./ -]+\.onnx)", re.ASCII
)
FOLDER = "sources"


class NotFetchedError(SerError):
    """An ONNX file that is named has not been fetched, or is another one by now; the message has the command."""

    code = Code.FAILED_PRECONDITION


def is_onnx(source: str) -> bool:
    """Whether this names an ONNX file, by its path or its address, rather than an encoder."""
    return source not in ENCODERS and (source.startswith(HUB) or source.endswith(SUFFIX))


def web_address(source: str, *, field: str) -> str:
    """Where a file of Hugging Face is to be had.

    Args:
        source: `hf://owner/name/file.onnx`; a revision may stand behind the name, as in `name@v1`.
        field: The culprit, if it is of another form.

    Raises:
        ConfigError: If it is of another form.
    """
    found = _HUB_ADDRESS.fullmatch(source)
    if found is None or ".." in source:
        raise ConfigError([FieldViolation(field, f"expected hf://owner/name/file{SUFFIX}, got {source!r}")])
    root = os.environ.get(HUB_VARIABLE, _HUB_HOME).rstrip("/")
    return f"{root}/{found['owner']}/{found['name']}/resolve/{found['revision'] or 'main'}/{found['path']}"


def remember(source: str, record: OnnxRecord) -> None:
    """Keeps what a source gave."""
    path = _path(source)
    with storage_errors(f"{FOLDER}/{path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"source": _absolute(source), "encoder": record.name})


def remembered(record: EncoderRecord) -> list[str]:
    """Which sources gave an encoder, sorted."""
    found = [read_json(path) for path in (encoder_root() / FOLDER).glob("*.json")]
    return sorted(str(one["source"]) for one in found if one["encoder"] == record.name)


def named_encoder(name: str, *, field: str) -> EncoderRecord:
    """The encoder of a name, or the one that a path or an address gave when it was fetched.

    Args:
        name: As `ser.encoders.catalogue.encoder_record`, or a path or an address as of `is_onnx`.
        field: The culprit, if there is no such encoder.

    Raises:
        ConfigError: If it is no name of an encoder.
        NotFetchedError: If it was never fetched, or its file is another one now.
    """
    if not is_onnx(name):
        return encoder_record(name, field=field)
    path = _path(name)
    if not path.is_file():
        raise NotFetchedError(f"{field}: {name} has not been fetched; get it with: ser encoder fetch {name}")
    record = encoder_record(str(read_json(path)["encoder"]), field=field)
    with storage_errors(name):
        is_another = Path(name).is_file() and sha256(Path(name)) != record.network_sha256
    if is_another:
        raise NotFetchedError(
            f"{field}: {name} is another file than when it was fetched; get it with: ser encoder fetch {name}"
        )
    return record


def _path(source: str) -> Path:
    return encoder_root() / FOLDER / f"{hashlib.sha256(_absolute(source).encode()).hexdigest()[:32]}.json"


def _absolute(source: str) -> str:
    return source if source.startswith(HUB) else str(Path(source).absolute())
