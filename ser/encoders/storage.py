"""Where encoders lie on this machine: a folder each, named by its identity, which all models share.

The network in it is made of the weights once, and is the same file everywhere: what is found is held against the digest
in the catalogue before it is used, wherever it came from.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from ser.encoders import ctranslate2, smart_turn
from ser.encoders.catalogue import CatalogueRecord, EncoderRecord
from ser.encoders.whisper import write_network
from ser.errors import Code, DamagedError, SerError
from ser.storage.files import exclusive, make_folder, remove
from ser.storage.stored_file import MissingError, StoredFolder, storage_errors
from ser.storage.stores import cache_root

ROOT_VARIABLE = "SER_ENCODER_ROOT"
"""Environment variable: the folder of the encoders; by default `encoders` where other copies are kept."""
NOTICE = "NOTICE"
LARGEST_NETWORK_BYTES = (1 << 31) - 1
"""More than that no ONNX file can have."""
_READERS = MappingProxyType({"ctranslate2": ctranslate2.read_variables, "smart-turn": smart_turn.read_variables})
"""By the form of the weights' file."""


class MissingEncoderError(SerError):
    """What was asked for needs an encoder that is not on this machine; the message has the command that brings it."""

    code = Code.FAILED_PRECONDITION

    def __init__(self, record: EncoderRecord) -> None:
        """Of the encoder that is missing."""
        super().__init__(f"the encoder {record.name} is not in {encoder_root()}; get it with: {record.how_to_get}")


def encoder_root() -> Path:
    """The folder that encoders lie in."""
    root = os.environ.get(ROOT_VARIABLE)
    return Path(root) if root else cache_root() / "encoders"


def encoder_folder(record: EncoderRecord) -> Path:
    """Where an encoder lies if it is here."""
    return encoder_root() / record.identity


def is_here(record: EncoderRecord) -> bool:
    """Whether an encoder is on this machine; `check_encoder` says whether it is whole."""
    return (encoder_folder(record) / record.network).is_file()


def check_encoder(record: EncoderRecord) -> Path:
    """The file of an encoder's network, which is what the catalogue says.

    Raises:
        MissingEncoderError: If it is not here.
        DamagedError: If it is altered.
        StorageError: If the operating system does not let it be read.
    """
    folder = StoredFolder(encoder_folder(record), f"the encoder {record.name}")
    try:
        found = folder.sha256(record.network, at_most=LARGEST_NETWORK_BYTES)
    except MissingError:
        raise MissingEncoderError(record) from None
    if found != record.network_sha256:
        raise DamagedError(
            f"{folder.where(record.network)} is altered, or was made by another version; get it again with: "
            f"{record.how_to_get}"
        )
    return folder.path / record.network


def make_encoder(record: CatalogueRecord, weights: bytes, where: str, *, force: bool = False) -> Path:
    """Makes the network of the weights, unless it is there.

    Args:
        record: Which encoder.
        weights: The weights' file.
        where: What to call that file in an error.
        force: Make it again although it is there.

    Returns:
        The encoder's folder.

    Raises:
        DamagedError: If the weights are not those of the catalogue, or other bytes were made of them.
        StorageError: If the operating system does not let it be written.
    """
    if hashlib.sha256(weights).hexdigest() != record.sha256:
        raise DamagedError(f"{where}: expected the weights of {record.name}, whose SHA-256 is {record.sha256}")
    read_variables = _READERS[record.form]
    return _install(record, lambda: write_network(read_variables(weights, where), record.norms, where), force=force)


def install_network(record: EncoderRecord, network: bytes, where: str, *, force: bool = False) -> Path:
    """Keeps a network that was made elsewhere, as that beside a model in a store; `make_encoder` says the rest."""
    if hashlib.sha256(network).hexdigest() != record.network_sha256:
        raise DamagedError(f"{where}: expected the network of {record.name}, whose SHA-256 is {record.network_sha256}")
    return _install(record, lambda: network, force=force)


def remove_encoder(record: EncoderRecord) -> bool:
    """Removes an encoder from this machine; whether there was one."""
    folder = encoder_folder(record)
    if not folder.is_dir():
        return False
    with storage_errors(record.name), exclusive(folder):
        remove(folder)
    return True


def _install(record: EncoderRecord, network: Callable[[], bytes], *, force: bool = False) -> Path:
    folder = encoder_folder(record)
    make_folder(folder, {"encoder": record.identity}, partial(_write, record, network), force=force)
    return folder


def _write(record: EncoderRecord, network: Callable[[], bytes], folder: Path) -> None:
    content = network()
    if hashlib.sha256(content).hexdigest() != record.network_sha256:
        raise DamagedError(
            f"the encoder {record.name}: other bytes were made of its weights than are known; this is a defect of SER, "
            "or of the version of ai-edge-litert or flatbuffers that is installed"
        )
    (folder / record.network).write_bytes(content)
    if not isinstance(record, CatalogueRecord):
        return  # whose licence only its owner knows
    licence = resources.files("ser.encoders").joinpath("notices", f"{record.name}.txt").read_text(encoding="utf-8")
    (folder / NOTICE).write_text(licence, encoding="utf-8")
