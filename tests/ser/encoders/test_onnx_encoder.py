from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ser.encoders.catalogue import OnnxRecord
from ser.encoders.encoder import without_silence
from ser.encoders.onnx_encoder import EncoderError, Hearing, OnnxEncoder, load_onnx
from ser.encoders.onnx_graph import OnnxGraph
from ser.encoders.storage import MissingEncoderError, encoder_folder, install_network
from ser.encoders.whisper import log_mel
from ser.errors import ConfigError, DamagedError, MissingExtraError
from ser.steps.checking import check_request
from tests.signals import tone
from tests.tiny_onnx import BANDS, CHANNELS, field, graph, model, node, tensor, tiny_encoder, tiny_frames, value


def hearing(
    *, outputs: tuple[str | int, ...] = (0,), entry: str = "auto", unit_variance: bool = False,
    seconds: float = 30.0, filled: bool = False,
) -> Hearing:  # fmt: skip
    return Hearing(outputs, entry, unit_variance, seconds, filled)


def taken(content: bytes) -> OnnxRecord:
    record = OnnxRecord.of(hashlib.sha256(content).hexdigest())
    install_network(record, content, "mine.onnx")
    return record


def chirp(seconds: float) -> np.ndarray:
    noise = np.random.default_rng(1).standard_normal(round(16_000 * seconds))
    return (tone(seconds) + 0.05 * noise).astype(np.float32)


def test_frames_of_samples_are_numpy_s() -> None:
    encoder = OnnxEncoder(taken(tiny_encoder()), hearing())
    sound = chirp(0.8)
    frames = encoder(np.pad(sound, (0, 20_000)))
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames, tiny_frames(without_silence(sound))[0], atol=1e-5)
    assert encoder.channels() == CHANNELS


@pytest.mark.parametrize(
    ("outputs", "layers"),
    [((1,), (1,)), (("first", 0), (1, 0)), (("mixed",), (0,)), (("turned", "last_hidden_state"), (None, 0))],
)
def test_layers_are_read_by_number_or_by_name_even_those_that_the_graph_does_not_give(
    outputs: tuple[str | int, ...], layers: tuple[int | None, ...]
) -> None:
    encoder = OnnxEncoder(taken(tiny_encoder()), hearing(outputs=outputs))
    found = tiny_frames(without_silence(chirp(0.5)))
    expected = [np.arctanh(found[1]) if layer is None else found[layer] for layer in layers]
    np.testing.assert_allclose(encoder(chirp(0.5)), np.concatenate(expected, axis=1), atol=1e-4)
    assert encoder.channels() == len(outputs) * CHANNELS


def test_samples_are_brought_to_unit_variance_where_it_is_wanted() -> None:
    sound = without_silence((0.2 * chirp(0.5) + 0.3).astype(np.float32))
    scaled = (sound - sound.mean(dtype=np.float64)) / sound.std(dtype=np.float64)
    found = OnnxEncoder(taken(tiny_encoder()), hearing(unit_variance=True))(sound)
    np.testing.assert_allclose(found, tiny_frames(scaled.astype(np.float32))[0], atol=1e-3)


def test_frames_of_whisper_s_spectrum_are_numpy_s() -> None:
    sound = chirp(0.7)
    found = OnnxEncoder(taken(tiny_encoder(kind="log_mel")), hearing())(sound)
    np.testing.assert_allclose(found, tiny_frames(log_mel(without_silence(sound)), "log_mel")[0], atol=1e-5)


@pytest.mark.parametrize("bands", [None, "bands"])
def test_a_large_whisper_has_more_bands(monkeypatch: pytest.MonkeyPatch, bands: str | None) -> None:
    # Its export says nothing of their number, but for the weights that they are multiplied with.
    monkeypatch.setattr("tests.tiny_onnx.BANDS", 128)
    sound = chirp(0.3)
    found = OnnxEncoder(taken(tiny_encoder(kind="log_mel", bands=bands)), hearing())(sound)
    np.testing.assert_allclose(found, tiny_frames(log_mel(without_silence(sound), 128), "log_mel")[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["samples", "log_mel"])
@pytest.mark.parametrize("seconds", [0.5, 1.9])
def test_a_graph_of_fixed_length_hears_stretches_that_are_filled_and_what_filled_them_does_not_count(
    kind: str, seconds: float
) -> None:
    length = 16_000 if kind == "samples" else 100
    encoder = OnnxEncoder(taken(tiny_encoder(kind=kind, length=length)), hearing())
    sound = without_silence(chirp(seconds))
    expected = []
    for part in np.array_split(sound, math.ceil(len(sound) / 16_000)):
        whole = np.pad(part, (0, 16_000 - len(part)))
        frames = tiny_frames(whole if kind == "samples" else log_mel(whole), kind)[0]
        expected.append(frames[: math.ceil(len(frames) * len(part) / 16_000)])
    np.testing.assert_allclose(encoder(chirp(seconds)), np.concatenate(expected), atol=1e-5)
    assert encoder.channels() == CHANNELS


def test_a_long_recording_is_heard_in_stretches_filled_where_it_is_wanted() -> None:
    sound = without_silence(chirp(2.2))
    parts = np.array_split(sound, 3)
    cut = OnnxEncoder(taken(tiny_encoder()), hearing(seconds=1.0))(sound)
    np.testing.assert_allclose(cut, np.concatenate([tiny_frames(part)[0] for part in parts]), atol=1e-5)
    filled = OnnxEncoder(taken(tiny_encoder()), hearing(seconds=1.0, filled=True))(sound)
    expected = [tiny_frames(np.pad(part, (0, 16_000 - len(part))))[0] for part in parts]
    kept = [frames[: math.ceil(98 * len(part) / 16_000)] for frames, part in zip(expected, parts, strict=True)]
    assert len(filled) > len(cut)
    np.testing.assert_allclose(filled, np.concatenate(kept), atol=1e-5)


def test_a_spectrum_may_be_wanted_frame_by_frame() -> None:
    content = graph(
        [node("Identity", ["spectrum"], ["frames"])], [], [value("spectrum", "float32", [1, "n", BANDS])],
        [value("frames", "float32", [1, "n", BANDS])],
    )  # fmt: skip
    found = OnnxEncoder(taken(model(content)), hearing())(chirp(0.3))
    np.testing.assert_array_equal(found, log_mel(without_silence(chirp(0.3))))


def test_a_spectrum_of_which_nothing_is_said_has_eighty_bands() -> None:
    content = graph(
        [node("Transpose", ["spectrum"], ["frames"], perm=[0, 2, 1])], [],
        [value("spectrum", "float32", [1, "bands", "n"])], [value("frames", "float32", [1, "n", "bands"])],
    )  # fmt: skip
    found = OnnxEncoder(taken(model(content)), hearing(entry="log_mel"))(chirp(0.3))
    np.testing.assert_array_equal(found, log_mel(without_silence(chirp(0.3))))


def test_frames_wider_than_any_encoder_s_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = OnnxEncoder(taken(tiny_encoder()), hearing())
    monkeypatch.setattr("ser.encoders.onnx_encoder.MOST_CHANNELS", CHANNELS)
    assert encoder.channels() == CHANNELS
    monkeypatch.setattr("ser.encoders.onnx_encoder.MOST_CHANNELS", CHANNELS - 1)
    with pytest.raises(EncoderError, match="gives frames of 6 numbers; expected at most 5"):
        encoder.channels()


def test_a_mask_says_that_all_counts() -> None:
    mask = value("attention_mask", "int64", [1, "n"])
    nodes = [
        node("Cast", ["attention_mask"], ["scale"], to=1),
        node("Mul", ["waveform", "scale"], ["scaled"]),
        node("Unsqueeze", ["scaled", "last"], ["frames"]),
    ]
    content = graph(
        nodes, [tensor("last", np.array([2]))], [value("waveform", "float32", [1, "n"]), mask],
        [value("frames", "float32", [1, "n", 1])],
    )  # fmt: skip
    sound = chirp(0.2)
    found = OnnxEncoder(taken(model(content)), hearing())(sound)
    np.testing.assert_array_equal(found[:, 0], without_silence(sound))


def test_threads_may_share_it() -> None:
    encoder = OnnxEncoder(taken(tiny_encoder()), hearing())
    clips = [chirp(0.3 + number / 50) for number in range(8)]
    alone = [encoder(clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(encoder, clips), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("content", "settings", "why"),
    [
        (tiny_encoder(), {"outputs": (2,)}, "outputs: expected .* of its 2 outputs, last_hidden_state, first, got 2"),
        (tiny_encoder(), {"outputs": ("wave",)}, "outputs: expected names of values .*, got wave"),
        (tiny_encoder(), {"entry": "log_mel"}, r"input: expected 'samples' .*'log_mel' does not fit, got 'waveform'"),
        (tiny_encoder(kind="log_mel"), {"entry": "samples"}, "input: expected .*'samples' does not fit"),
        (
            tiny_encoder(extra=[value("speed", "float32", [1])]), {},
            r"weights: expected a graph with one input, for the recording, got 'waveform', .* \(1, any\), 'speed', ",
        ),
        (
            model(graph([], [], [value("x", "float32", ["a", "b", "c"])])), {},
            r"input: expected 'samples' for .*; 'auto' does not fit, got 'x', float32 of shape \(any, any, any\)",
        ),
        (
            model(graph([], [], [value("x", "float32", [1, 80, 128])])), {},
            "input: expected 'samples' for .*; 'auto' does not fit",
        ),
        (model(graph([], [], [value("x", "int64", [1, "n"])])), {}, "weights: expected an input of floats"),
        (model(graph([], [], [value("x", "float32", [1, 1, 1, "n"])])), {}, "weights: expected an input of floats"),
    ],
)  # fmt: skip
def test_what_the_graph_does_not_have_is_told(content: bytes, settings: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=f"^{why}"):
        OnnxEncoder(taken(content), hearing(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "settings", "why"),
    [
        (tiny_encoder(bad="nan"), {}, "gives numbers that are not finite, by 'last_hidden_state'"),
        (
            tiny_encoder(bad="pooled"),
            {},
            r"gives no frames: expected 'pooled' of shape \(1, frames, channels\), got float32 \(1, 6\)",
        ),
        (tiny_encoder(), {"outputs": ("convolved", 0)}, "gives .* frames by its outputs; expected as many by each"),
    ],
)
def test_what_are_no_frames_is_refused(content: bytes, settings: dict[str, object], why: str) -> None:
    encoder = OnnxEncoder(taken(content), hearing(**settings))  # type: ignore[arg-type]
    for hear in (encoder.channels, lambda: encoder(chirp(0.5))):
        with pytest.raises(EncoderError, match=f"^the encoder onnx-[0-9a-f]{{64}} {why}"):
            hear()


def test_one_vector_for_a_whole_clip_is_no_frame() -> None:
    nodes = [
        node("ReduceMean", ["waveform"], ["mean"], keepdims=1),
        node("Unsqueeze", ["mean", "last"], ["vector"]),
    ]
    content = graph(
        nodes, [tensor("last", np.array([2]))], [value("waveform", "float32", [1, "n"])],
        [value("vector", "float32", [1, 1, 1])],
    )  # fmt: skip
    with pytest.raises(EncoderError, match="gives 1 frames for one second and for two"):
        OnnxEncoder(taken(model(content)), hearing()).channels()


def test_a_recording_that_is_too_short_for_the_graph_is_told() -> None:
    wide = graph(
        [node("Unsqueeze", ["x", "one"], ["rows"]), node("Conv", ["rows", "w"], ["frames"])],
        [tensor("one", np.array([1])), tensor("w", np.ones((1, 1, 900), np.float32))],
        [value("x", "float32", [1, "n"])], [value("frames", "float32", [1, 1, "n"])],
    )  # fmt: skip
    encoder = OnnxEncoder(taken(model(wide)), hearing())
    with pytest.raises(EncoderError, match="cannot be run|gives no frames"):
        encoder(chirp(0.02))


def test_operations_of_others_are_not_loaded() -> None:
    content = model(
        graph([node("Hear", ["x"], ["y"], domain="evil")], [], [value("x", "float32", [1, "n"])],
              [value("y", "float32", [1, "n", 2])]), domains={"evil": 1},
    )  # fmt: skip
    with pytest.raises(EncoderError, match="^the encoder onnx-[0-9a-f]{64} cannot be run: .*evil"):
        OnnxEncoder(taken(content), hearing())


INNER = graph([node("Constant", [], ["z"], value=(5, 4, tensor("t", [1.0], external=True)))], [])


@pytest.mark.parametrize(
    "content",
    [
        graph([], [tensor("w", [1.0], external=True)]),
        graph([node("Constant", [], ["y"], value=(5, 4, tensor("t", [1.0], external=True)))], []),
        graph([node("If", ["x"], ["y"], then_branch=(6, 5, INNER))], []),
        graph([node("Constant", [], ["y"], sparse_value=(22, 11, field(1, tensor("t", [1.0], external=True))))], []),
    ],
    ids=["constant", "attribute", "branch", "sparse"],
)
def test_weights_in_another_file_are_refused_wherever_they_are_named(content: bytes) -> None:
    with pytest.raises(DamagedError, match="^mine is no ONNX file .*it has weights in another file beside it"):
        OnnxGraph(model(content), "mine")


def test_a_file_with_two_graphs_or_endless_fields_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = model(graph([], [])) * 2
    with pytest.raises(DamagedError, match="^mine is no ONNX file"):
        OnnxGraph(twice, "mine")
    deep = graph([], [])
    for _ in range(12):
        deep = graph([node("If", ["x"], ["y"], then_branch=(6, 5, deep))], [])
    with pytest.raises(DamagedError, match="graphs in graphs, more than 8 deep"):
        OnnxGraph(model(deep), "mine")
    monkeypatch.setattr("ser.encoders.protobuf.MOST_FIELDS", 20)
    with pytest.raises(DamagedError, match="more than 20 numbers and fields"):
        OnnxGraph(tiny_encoder(), "mine")


def test_its_file_is_looked_at_before_it_is_opened() -> None:
    load_onnx.cache_clear()
    record = OnnxRecord.of("0" * 64)
    with pytest.raises(MissingEncoderError, match="get it with: ser encoder fetch onnx-0{64} --from FILE"):
        load_onnx(record, hearing())
    record = taken(tiny_encoder())
    (encoder_folder(record) / "encoder.onnx").write_bytes(tiny_encoder()[:-1])
    with pytest.raises(DamagedError, match=r"encoder\.onnx is altered.*ser encoder fetch onnx-"):
        load_onnx(record, hearing())


def test_without_onnx_runtime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    record = taken(tiny_encoder())
    monkeypatch.setattr("ser.extras._is_there", lambda module: module != "onnxruntime")
    with pytest.raises(MissingExtraError, match=r"^an ONNX encoder needs .*onnxruntime; .*'speech-emotion\[onnx\]'$"):
        OnnxEncoder(record, hearing())


def test_its_extra_is_named_before_a_corpus_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"SpeechEncoder": {"weights": taken(tiny_encoder()).name}}
    asked = {"model_type": "EncoderClassifier", "dataset_feature_extract_methods": settings}
    assert check_request(asked).dataset_virtual_speakers == 10
    monkeypatch.setattr("ser.extras._is_there", lambda module: module != "onnxruntime")
    with pytest.raises(MissingExtraError, match=r"'speech-emotion\[onnx\]'$"):
        check_request(asked)
