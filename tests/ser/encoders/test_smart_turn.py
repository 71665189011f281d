from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from ser.encoders import ENCODERS, Encoder
from ser.encoders.encoder import without_silence
from ser.encoders.smart_turn import read_variables
from ser.encoders.storage import check_encoder, make_encoder
from ser.encoders.whisper import log_mel, write_network
from ser.errors import DamagedError
from tests.signals import tone
from tests.tiny_onnx import field, graph, model, smart_turn
from tests.tiny_whisper import WIDTH, encode, tiny_variables

NORMS = (0, 3, 4)


def test_weights_are_found_by_what_uses_them_and_become_what_they_stand_for() -> None:
    content, expected = smart_turn(tiny_variables())
    found = read_variables(content, "tiny.onnx")
    del expected["encoder/num_heads"]
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == np.float32, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_an_encoder_is_made_of_them_that_is_read_where_its_record_says(root) -> None:
    content, variables = smart_turn(tiny_variables())
    network = write_network(variables, NORMS, "tiny")
    record = dataclasses.replace(
        ENCODERS["smart-turn"], sha256=hashlib.sha256(content).hexdigest(), norms=NORMS, channels=3 * WIDTH,
        network_sha256=hashlib.sha256(network).hexdigest(),
    )  # fmt: skip
    folder = make_encoder(record, content, "tiny.onnx")
    assert folder.parent == root
    assert "Daily" in (folder / "NOTICE").read_text(encoding="utf-8")
    frames = Encoder(record, check_encoder(record))(tone(0.5))
    expected = encode(variables, log_mel(without_silence(tone(0.5))), norms=NORMS)
    assert frames.shape == expected.shape
    assert np.abs(frames - expected).mean() < 0.03 * np.abs(expected).mean()


def test_what_lies_behind_the_last_layer_that_is_read_is_left_out() -> None:
    variables = tiny_variables()
    needed = {name: array for name, array in variables.items() if "layer_3" not in name and "layer_4" not in name}
    assert write_network(needed, NORMS, "tiny") == write_network(variables, NORMS, "tiny")
    shorter = write_network({name: array for name, array in needed.items() if "layer_2/ffn" not in name}, NORMS, "tiny")
    assert shorter == write_network(variables, NORMS, "tiny")


def test_a_recording_is_heard_in_stretches_that_its_positions_reach() -> None:
    record = ENCODERS["smart-turn"]
    assert (record.seconds, record.channels, record.norms) == (8.0, 2 * 384, (3, 4))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "tiny.onnx is no ONNX file"),
        (b"\xff" * 20, "tiny.onnx is no ONNX file that can be used: it has a number that does not end"),
        (field(7, b"\x0b"), "tiny.onnx is no ONNX file that can be used: it has a field of kind 3"),
        (field(7, b"\x0a\x05abc"), "tiny.onnx is no ONNX file that can be used: it ends too early"),
        (model(graph([], [])), "tiny.onnx is no encoder of Smart Turn: 'inner.encoder.embed_positions.weight'"),
    ],
)
def test_another_file_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(DamagedError, match=f"^{why}"):
        read_variables(content, "tiny.onnx")
