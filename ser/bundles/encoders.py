"""The pretrained encoders of models in an object store: one copy there serves all of them."""

from __future__ import annotations

import contextlib
import os

from ser.bundles.manifest import Manifest
from ser.config import parse
from ser.encoders import EncoderRecord
from ser.encoders.storage import check_encoder, install_network, is_here
from ser.errors import ConfigError
from ser.features import EXTRACTORS
from ser.storage.stores import Store

FOLDER = ".encoders"
"""Beside the models; in it a folder each, named by the encoder's identity."""


def keep_encoders(address: str | os.PathLike[str], manifest: Manifest) -> None:
    """Lets a store have the encoders of a model.

    Raises:
        MissingEncoderError: If one is neither there nor on this machine.
        StoreError: If the store cannot be reached.
    """
    for record in encoders_of(manifest):
        kept = _store(address, record)
        if record.network not in kept.files():
            kept.write(record.network, check_encoder(record).read_bytes())


def bring_encoders(address: str | os.PathLike[str], manifest: Manifest) -> None:
    """Brings the encoders of a model to this machine, those that the store has and the machine has not.

    Of one that the store lacks, whoever uses the model is told.

    Raises:
        DamagedError: If what the store has is something else.
        StoreError: If the store cannot be reached.
    """
    for record in encoders_of(manifest):
        if not is_here(record):
            kept = _store(address, record)
            network = kept.read(record.network)
            if network is not None:
                install_network(record, network, f"{kept.address}/{record.network}")


def encoders_of(manifest: Manifest) -> tuple[EncoderRecord, ...]:
    """The encoders behind a model's features; of features that this version does not know, whoever opens it is told."""
    methods = manifest.features.get("dataset_feature_extract_methods")
    found: list[EncoderRecord] = []
    for name, settings in methods.items() if isinstance(methods, dict) else ():
        with contextlib.suppress(ConfigError):
            extractor = EXTRACTORS.get(name)
            found += extractor.encoders(parse(extractor.Config, settings))
    return tuple(found)


def _store(address: str | os.PathLike[str], record: EncoderRecord) -> Store:
    return Store(f"{os.fspath(address).rstrip('/')}/{FOLDER}/{record.identity}")
