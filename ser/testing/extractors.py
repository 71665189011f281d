"""What every feature extractor must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.audio.recordings import SAMPLE_RATE_HZ
from ser.config import parse
from ser.errors import ConfigError
from ser.features import EXTRACTORS, About, FeatureExtractor
from ser.features.frontend import FrontEnd
from ser.request import SHORTEST_PIECE
from ser.testing.serving import computed_while_serving

Check = Callable[[str, Mapping[str, Any], Path], None]
_CORPUS = (About("anna", "female", "t1"), About("carl", "male", "t2"), About("anna", "female", "t2"))
_LENGTHS = (SHORTEST_PIECE, SAMPLE_RATE_HZ // 2, SAMPLE_RATE_HZ + 7)
"""Samples of pieces: the shortest that a request may ask for, and two others."""


def features_are_float32_of_the_shape_that_is_promised(name: str, config: Mapping[str, Any], folder: Path) -> None:  # noqa: ARG001
    """Of every sound, the shortest and the silent too, and of any number of pieces."""
    extractor = _create(name, config)
    for length in _LENGTHS:
        for sound, piece in _sounds(length):
            for count in (1, 3):
                found = extractor.extract(np.tile(piece, (count, 1)), [_CORPUS[0]] * count)
                where = f"{count} pieces of {length} samples of {sound}"
                assert found.dtype == np.float32, f"{where}: expected float32, got {found.dtype}"
                expected = (count, *extractor.shape(length))
                assert found.shape == expected, f"{where}: expected shape {expected}, got {found.shape}"
                assert np.isfinite(found).all(), f"{where}: expected finite features"


def features_of_a_piece_are_its_own(name: str, config: Mapping[str, Any], folder: Path) -> None:  # noqa: ARG001
    """The same each time, alone or among others, whoever comes before; and the piece is left as it was."""
    extractor = _create(name, config)
    pieces = np.stack([piece for _, piece in _sounds(_LENGTHS[1])])
    about = [_CORPUS[number % len(_CORPUS)] for number in range(len(pieces))]
    pieces.setflags(write=False)
    before = pieces.copy()
    together = extractor.extract(pieces, about)
    assert together.tobytes() == extractor.extract(pieces, about).tobytes(), "expected the same features each time"
    assert pieces.tobytes() == before.tobytes(), "expected the pieces to be left as they were"
    for number, (piece, who) in enumerate(zip(pieces, about, strict=True)):
        alone = extractor.extract(piece[np.newaxis], [who])[0]
        _assert_close(alone, together[number], f"piece {number} alone and among others")


def what_is_not_known_of_a_speaker_is_no_error(name: str, config: Mapping[str, Any], folder: Path) -> None:  # noqa: ARG001
    """A stranger, or nobody, gets finite features, and `unknown` names properties of `About`."""
    extractor = _create(name, config)
    piece = np.stack([piece for _, piece in _sounds(_LENGTHS[1])][:1])
    for who in (About(), About("a stranger", "another", "something else")):
        assert np.isfinite(extractor.extract(piece, [who])).all(), f"{who}: expected finite features"
        unknown = extractor.unknown(who)
        assert set(unknown) <= {"speaker", "gender", "text"}, f"{who}: expected properties of About, got {unknown}"
    assert not extractor.unknown(_CORPUS[0]), "expected everything of the corpus's own speakers to be known"


def what_is_saved_is_the_same_where_models_are_served(name: str, config: Mapping[str, Any], folder: Path) -> None:
    """Arrays and config make the same features again, bit for bit, without librosa and TensorFlow."""
    front = FrontEnd(_LENGTHS[1], normalize=True, extractors={name: _create(name, config)})
    assert not [array for array in front.extractors[name].arrays.values() if array.dtype.hasobject], "object arrays"
    sound = np.concatenate([piece for _, piece in _sounds(_LENGTHS[1])])
    front.save(folder / "frontend.npz")
    np.save(folder / "sound.npy", sound)
    again = computed_while_serving(
        "from pathlib import Path\n"
        "import numpy\n"
        "from ser.features import About\n"
        "from ser.features.frontend import FrontEnd\n"
        f"front = FrontEnd.load(Path({str(folder / 'frontend.npz')!r}), {front.settings()!r})\n"
        f"answer = front.transform(numpy.load({str(folder / 'sound.npy')!r}), {_CORPUS[1]!r})\n",
        knows=EXTRACTORS.get(name),
    )
    trained = front.transform(sound, _CORPUS[1])
    assert again.astype(np.float32).tobytes() == trained.tobytes(), "expected the features of training when serving"


def statistics_are_of_one_length(name: str, config: Mapping[str, Any], folder: Path) -> None:  # noqa: ARG001
    """Counts, sums and sums of squares, float64, which of several pieces are the sums of each one's."""
    extractor = _create(name, config)
    pieces = np.stack([piece for _, piece in _sounds(_LENGTHS[1])])
    features = extractor.extract(pieces, [_CORPUS[0]] * len(pieces))
    whole = extractor.statistics(features)
    assert len({vector.shape for vector in whole}) == 1, "expected three vectors of one length"
    assert all(vector.dtype == np.float64 and vector.ndim == 1 for vector in whole), "expected vectors of float64"
    parts = [extractor.statistics(features[number : number + 1]) for number in range(len(features))]
    for vector, ones in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_allclose(vector, np.sum(ones, axis=0), rtol=1e-6, atol=1e-6)


def a_config_has_defaults_and_refuses_what_it_does_not_know(
    name: str, config: Mapping[str, Any], folder: Path  # noqa: ARG001
) -> None:  # fmt: skip
    """The config that is given is allowed, and comes back from what is kept of it; an unknown key is named."""
    schema = EXTRACTORS.get(name).Config
    kept = parse(schema, config)
    assert parse(schema, kept.model_dump(mode="json")) == kept, "expected the config back from its JSON"
    try:
        parse(schema, {**config, "no_such_setting": 1})
    except ConfigError as error:
        assert "no_such_setting" in str(error), f"expected the unknown key's name in {error}"
    else:
        raise AssertionError("expected an unknown key to be refused")


EXTRACTOR_CHECKS: tuple[Check, ...] = (
    features_are_float32_of_the_shape_that_is_promised,
    features_of_a_piece_are_its_own,
    what_is_not_known_of_a_speaker_is_no_error,
    what_is_saved_is_the_same_where_models_are_served,
    statistics_are_of_one_length,
    a_config_has_defaults_and_refuses_what_it_does_not_know,
)
"""All of them."""


def _create(name: str, config: Mapping[str, Any]) -> FeatureExtractor[Any]:
    kind = EXTRACTORS.get(name)
    extractor: FeatureExtractor[Any] = kind.create(parse(kind.Config, config), _CORPUS)
    return extractor


def _sounds(length: int) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """float32 from -1 to 1, shape (length,)."""
    time = np.arange(length) / SAMPLE_RATE_HZ
    noise = np.random.default_rng(7).standard_normal(length).astype(np.float32)
    voice = np.sign(np.sin(2 * np.pi * 140 * time)) * np.hanning(length)
    yield "a voice", (0.5 * voice + 0.01 * noise).astype(np.float32)
    yield "noise", noise / np.abs(noise).max()
    yield "silence", np.zeros(length, np.float32)
    yield "a constant", np.full(length, 0.5, np.float32)
    yield "a click", np.eye(1, length, length // 2, dtype=np.float32)[0]
    yield "full scale", np.where(np.arange(length) % 2, 1, -1).astype(np.float32)
    yield "the last bit's noise", np.sign(noise) * np.float32(2**-15)


def _assert_close(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32], what: str) -> None:
    # A sum over a block may be taken in another order: a few units in the last place of the largest.
    scale = max(1.0, float(np.abs(other).max(initial=0)))
    worst = float(np.abs(one - other).max(initial=0))
    assert worst <= 1e-5 * scale, f"{what}: expected the same features, they differ by up to {worst:g}"
