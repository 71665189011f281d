from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ser.bundles.litert import LiteRTModel
from ser.config import parse
from ser.errors import ConfigError, DamagedError, TrainingError
from ser.models import MODEL_TYPES
from ser.networks.epoch_weights import EpochWeights
from ser.networks.export import check_agreement, export_tflite
from ser.networks.training_loop import BLOCK_BYTES, fit
from ser.progress import Progress, silent

RNG = np.random.default_rng(5)
CENTRES = RNG.standard_normal((3, 12)) * 2
LABELS = np.arange(130) % 3
ROWS = (CENTRES[LABELS] + RNG.standard_normal((130, 12))).astype(np.float32)
KINDS = ("KerasClassifier", "KerasDropoutClassifier")


def train(
    kind: str = "KerasDropoutClassifier",
    seed: int = 0,
    told: list[Progress] | None = None,
    block_bytes: int = BLOCK_BYTES,
    **changes: object,
):
    model_type = MODEL_TYPES.get(kind)()
    config = parse(model_type.Config, {"epochs": 3, "batch_size": 32, **changes})
    kept = EpochWeights()
    model, history = fit(
        lambda: model_type.build(12, 3, config),
        ROWS[:100],
        LABELS[:100],
        config=config,
        seed=seed,
        report=silent if told is None else told.append,
        watch=kept,
        block_bytes=block_bytes,
    )
    return model, history | kept.judge(ROWS[100:], LABELS[100:], block_bytes=block_bytes)


def weights(model) -> list[np.ndarray]:
    return [weight.numpy() for weight in model.trainable_variables]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_learns_what_can_be_learnt(kind: str) -> None:
    _, history = train(kind, epochs=20)
    assert history["accuracy"][-1] > 0.9
    assert history["val_accuracy"][-1] > 0.8
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        ("KerasClassifier", ["Dense", "Dense"]),
        ("KerasDropoutClassifier", ["Dropout", "Dense", "Dropout", "Dense"]),
    ],
)
def test_the_architecture_is_the_one_that_the_name_promises(kind: str, layers: list[str]) -> None:
    model_type = MODEL_TYPES.get(kind)()
    model = model_type.build(50, 7, model_type.Config())
    assert [type(layer).__name__ for layer in model.layers] == layers
    assert model.layers[layers.index("Dense")].units == 100
    assert model.layers[-1].activation.__name__ == "softmax"
    assert model.output_shape == (None, 7)


def test_the_figures_are_those_of_keras() -> None:
    import keras

    model, history = train(epochs=4)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    loss, accuracy = model.evaluate(ROWS[100:], LABELS[100:], verbose=0)
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert history["val_accuracy"][-1] == pytest.approx(accuracy, rel=1e-6)


def test_a_step_is_keras_s_step() -> None:
    """One batch of all rows: no shuffling, no dropout in play, so the weights must be those of `Model.fit`."""
    import keras

    ours, _ = train("KerasClassifier", epochs=3, batch_size=100)
    model_type = MODEL_TYPES.get("KerasClassifier")()
    keras.utils.set_random_seed(0)
    theirs = model_type.build(12, 3, model_type.Config())
    theirs.compile(optimizer=keras.optimizers.Adam(0.001), loss="sparse_categorical_crossentropy")
    theirs.fit(ROWS[:100], LABELS[:100], batch_size=100, epochs=3, verbose=0)
    for one, other in zip(weights(ours), weights(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 33, 100, 1_000])
def test_no_row_is_dropped_whatever_the_batch_size(batch_size: int) -> None:
    _, history = train("KerasClassifier", batch_size=batch_size, epochs=1, lr=1e-9)
    model_type = MODEL_TYPES.get("KerasClassifier")()
    import keras

    keras.utils.set_random_seed(0)
    untrained = model_type.build(12, 3, model_type.Config())
    probabilities = np.asarray(untrained(ROWS[:100]).numpy())
    expected = -np.log(probabilities[np.arange(100), LABELS[:100]]).mean()
    assert history["loss"][0] == pytest.approx(expected, rel=1e-4)


def test_every_epoch_is_told() -> None:
    told: list[Progress] = []
    _, history = train(epochs=5, told=told)
    assert [(progress.done, progress.total) for progress in told] == [(n, 5) for n in range(1, 6)]
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert {len(values) for values in history.values()} == {5}
    assert [progress.values["loss"] for progress in told] == history["loss"]


def test_of_many_epochs_some_are_kept_and_the_network_is_left_as_it_was() -> None:
    model_type = MODEL_TYPES.get("KerasClassifier")()
    model = model_type.build(12, 3, model_type.Config())
    size = sum(weight.nbytes for weight in model.get_weights())
    everything, some, two = EpochWeights(), EpochWeights(kept_bytes=4 * size), EpochWeights(kept_bytes=0)
    assert some.judge(ROWS, LABELS) == {}
    for number in range(1, 14):
        for variable in model.trainable_variables:
            variable.assign(variable * 1.05)
        for watch in (everything, some, two):
            watch(model)
        assert len(some._kept) <= 4
        assert number in some._kept
    last = weights(model)
    full, thinned = everything.judge(ROWS, LABELS), some.judge(ROWS, LABELS)
    assert len(set(full["val_loss"])) == 13
    for name, values in full.items():
        assert thinned[name] == [values[number - 1] for number in (4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 13)]
        assert len(two.judge(ROWS, LABELS)[name]) == 13
    for one, other in zip(weights(model), last, strict=True):
        np.testing.assert_array_equal(one, other)


FRESH = """
import hashlib
from tests.ser.models.test_models import train, weights
model, _ = train(seed=SEED)
print(hashlib.sha256(b"".join(weight.tobytes() for weight in weights(model))).hexdigest())
"""


def test_the_same_seed_gives_the_same_weights_in_another_process_and_another_seed_others() -> None:
    here = hashlib.sha256(b"".join(weight.tobytes() for weight in weights(train(seed=3)[0]))).hexdigest()

    def there(seed: int) -> str:
        command = [sys.executable, "-c", FRESH.replace("SEED", str(seed))]
        root = Path(__file__).parents[3]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout.strip()

    assert there(3) == here
    assert there(4) != here


def test_a_diverging_training_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ROWS.copy()
    rows[3] = np.inf
    monkeypatch.setattr(sys.modules[__name__], "ROWS", rows)
    with pytest.raises(TrainingError, match=r"expected finite weights, epoch 1 left .* model_config\.lr below 0\.001"):
        train("KerasClassifier")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"dropout": 1}, "dropout: .*less than 1, got 1"),
        ({"dropout": -0.1}, "dropout: .*greater than or equal to 0"),
        ({"lr": 0}, "lr: .*greater than 0"),
        ({"batch_size": 0}, "batch_size: .*greater than or equal to 1"),
        ({"epochs": 2.5}, "epochs: expected a whole number, got 2.5"),
    ],
    ids=str,
)
def test_a_wrong_config_names_the_field(config: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(MODEL_TYPES.get("KerasDropoutClassifier").Config, config)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory):
    model, _ = train()
    path = tmp_path_factory.mktemp("export") / "model.tflite"
    export_tflite(model, path)
    return model, path.read_bytes()


@pytest.mark.parametrize("count", [1, 2, 30, 600])
def test_the_exported_model_agrees_for_batches_of_any_size(exported, count: int) -> None:
    model, content = exported
    served = LiteRTModel(content)
    assert (served.num_features, served.num_outputs) == (12, 3)
    rows = np.resize(ROWS, (count, 12)) + np.arange(count, dtype=np.float32)[:, None] / 100
    np.testing.assert_allclose(served(rows), model(rows).numpy(), atol=1e-4)
    check_agreement(model, served, rows)
    check_agreement(model, served, ROWS[:1])
    check_agreement(model, served, rows)


def test_no_rows_give_no_probabilities(exported) -> None:
    assert LiteRTModel(exported[1])(ROWS[:0]).shape == (0, 3)


def test_a_model_that_does_not_agree_is_refused(exported) -> None:
    other, _ = train(seed=9)
    with pytest.raises(TrainingError, match="within 0.0001, they differ by up to 0"):
        check_agreement(other, LiteRTModel(exported[1]), ROWS)


def test_one_row_of_many_that_does_not_agree_is_enough(exported) -> None:
    class Wrong(LiteRTModel):
        def __call__(self, rows: np.ndarray) -> np.ndarray:
            return super().__call__(rows) + (rows[:, :1] > 100)

    rows = np.concatenate([ROWS] * 5)
    check_agreement(exported[0], Wrong(exported[1]), rows)
    rows[-1] = 101
    with pytest.raises(TrainingError, match="they differ by up to 1"):
        check_agreement(exported[0], Wrong(exported[1]), rows)


def test_rows_of_another_front_end_are_refused(exported) -> None:
    with pytest.raises(DamagedError, match=r"expected rows of 12 features, got \(4, 11\)"):
        LiteRTModel(exported[1])(ROWS[:4, :11])


@pytest.mark.parametrize("content", [b"", b"hello", bytes(1_000)])
def test_what_is_no_litert_model_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedError, match=r"model\.tflite is not a LiteRT model"):
        LiteRTModel(content)


def test_a_saved_model_is_trained_on_by_keras(exported, tmp_path: Path) -> None:
    import keras

    exported[0].save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    again.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    before = again.evaluate(ROWS, LABELS, verbose=0)
    again.fit(ROWS, LABELS, epochs=5, verbose=0)
    assert again.evaluate(ROWS, LABELS, verbose=0) < before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows_at_once", [1, 32, 33, 64, 99])
def test_what_is_learnt_does_not_depend_on_how_much_is_in_memory(kind: str, rows_at_once: int) -> None:
    whole, figures = train(kind)
    parts, same_figures = train(kind, block_bytes=rows_at_once * 4 * ROWS.shape[1])
    for one, other in zip(weights(whole), weights(parts), strict=True):
        np.testing.assert_array_equal(one, other)
    for name in figures:
        np.testing.assert_allclose(figures[name], same_figures[name], rtol=1e-5)
