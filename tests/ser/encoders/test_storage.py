from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ser.encoders import MissingEncoderError
from ser.encoders.catalogue import CatalogueRecord
from ser.encoders.storage import (
    check_encoder,
    encoder_folder,
    encoder_root,
    install_network,
    is_here,
    make_encoder,
    remove_encoder,
)
from ser.errors import DamagedError

NETWORK = "encoder.tflite"


def test_an_encoder_is_a_folder_with_its_licence(record: CatalogueRecord, weights: bytes, root: Path) -> None:
    assert not is_here(record)
    folder = make_encoder(record, weights, "model.bin")
    assert folder == root / f"whisper-base-{record.sha256[:16]}-7" == encoder_folder(record)
    assert sorted(path.name for path in folder.iterdir()) == ["NOTICE", NETWORK, "stamp.json"]
    assert "Copyright (c) 2022 OpenAI" in (folder / "NOTICE").read_text(encoding="utf-8")
    assert check_encoder(record) == folder / NETWORK
    assert is_here(record)
    assert remove_encoder(record)
    assert not remove_encoder(record)
    assert not folder.exists()


def test_it_lies_in_the_cache_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SER_ENCODER_ROOT", raising=False)
    monkeypatch.setenv("SER_CACHE_ROOT", str(tmp_path))
    assert encoder_root() == tmp_path / "encoders"


def test_one_that_is_missing_is_named_with_the_command_that_brings_it(record: CatalogueRecord, root: Path) -> None:
    with pytest.raises(MissingEncoderError, match=rf"whisper-base is not in {root}.* ser encoder fetch whisper-base"):
        check_encoder(record)


def test_one_that_was_altered_is_not_used_and_can_be_made_again(record: CatalogueRecord, weights: bytes) -> None:
    network = make_encoder(record, weights, "model.bin") / NETWORK
    content = bytearray(network.read_bytes())
    content[len(content) // 2] ^= 1
    network.write_bytes(content)
    with pytest.raises(DamagedError, match=r"encoder\.tflite is altered.*ser encoder fetch whisper-base"):
        check_encoder(record)
    make_encoder(record, weights, "model.bin", force=True)
    check_encoder(record)


def test_other_weights_leave_nothing(record: CatalogueRecord, weights: bytes) -> None:
    with pytest.raises(
        DamagedError, match=rf"^mine: expected the weights of whisper-base, whose SHA-256 is {record.sha256}"
    ):
        make_encoder(record, weights[:-1] + b"?", "mine")
    assert not is_here(record)


def test_other_bytes_than_are_known_are_not_kept(record: CatalogueRecord, weights: bytes) -> None:
    known = dataclasses.replace(record, network_sha256="0" * 64)
    with pytest.raises(DamagedError, match="other bytes were made of its weights than are known"):
        make_encoder(known, weights, "model.bin")
    assert not is_here(known)


def test_a_network_that_was_made_elsewhere_is_kept_if_it_is_the_one(record: CatalogueRecord, weights: bytes) -> None:
    network = (make_encoder(record, weights, "model.bin") / NETWORK).read_bytes()
    remove_encoder(record)
    with pytest.raises(DamagedError, match=r"^there: expected the network of whisper-base"):
        install_network(record, network[:-1] + b"?", "there")
    assert not is_here(record)
    install_network(record, network, "there")
    assert check_encoder(record).read_bytes() == network
