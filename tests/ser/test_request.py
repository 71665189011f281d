from __future__ import annotations

from typing import Any

import pytest

from ser.config import parse
from ser.errors import ConfigError
from ser.request import CrossValidationRequest, FeatureConfig, TrainRequest

BODY = {
    "data_path": "data",
    "remote_url": "embedded:",
    "model_type": "KerasClassifier",
    "model_save_path": "models",
}


def request(**changes: Any) -> TrainRequest:
    return parse(TrainRequest, {**BODY, **changes})


def test_the_defaults_are_those_of_the_api() -> None:
    assert request().model_dump(by_alias=True) == {
        **BODY,
        "random_state": 42,
        "dataset_force": False,
        "dataset_load_split_at": "min",
        "dataset_load_normalize": True,
        "dataset_feature_extract_methods": {
            "SpeakerAndGenderAndTextType": {"speaker": True, "gender": True, "text": True},
            "MFCC": {
                "num_cepstral": 13,
                "frame_length": 0.02,
                "frame_stride": 0.01,
                "num_filters": 40,
                "fft_length": 512,
                "low_frequency": 0.0,
                "high_frequency": None,
                "dc_elimination": True,
            },
        },
        "dataset_virtual_speakers": 0,
        "model_config": {"lr": 0.001, "epochs": 20, "batch_size": 32},
    }


def test_a_model_type_brings_the_features_that_it_reads() -> None:
    ensemble = request(model_type="EnsembleClassifier")
    assert ensemble.dataset_load_split_at == "max"
    assert list(ensemble.dataset_feature_extract_methods) == ["Functionals", "SpeechEncoder", "SpeechFrames"]
    assert ensemble.dataset_virtual_speakers == 4
    assert request(model_type="EnsembleClassifier", dataset_virtual_speakers=0).dataset_virtual_speakers == 0


def test_what_an_encoder_hears_is_judged_by_the_recipe_s_penalty() -> None:
    encoder = request(model_type="EncoderClassifier")
    assert encoder.hyperparameters.model_dump() == {"penalty": 3.0, "weights": "float32", "adapts": True}
    assert encoder.dataset_load_split_at == "max"
    assert list(encoder.dataset_feature_extract_methods) == ["SpeechEncoder"]
    assert encoder.dataset_virtual_speakers == 10


def test_the_model_config_s_defaults_follow_the_model_type() -> None:
    dropout = request(model_type="KerasDropoutClassifier")
    assert dropout.hyperparameters.model_dump() == {
        "lr": 0.001,
        "epochs": 100,
        "batch_size": 32,
        "dropout": 0.2,
    }


@pytest.mark.parametrize(
    ("given", "meant"),
    [("avg", "avg"), ("16000", 16_000), (16_000, 16_000), (16_000.0, 16_000), ("max", "max")],
)
def test_split_at_is_taken_as_people_send_it(given: object, meant: object) -> None:
    assert request(dataset_load_split_at=given).dataset_load_split_at == meant


def enrolling(value: object) -> int | str:
    body = {"data_path": "d", "remote_url": "u", "model_type": "KerasClassifier", "enrollment_clips": value}
    return parse(CrossValidationRequest, body).enrollment_clips


@pytest.mark.parametrize(("given", "meant"), [(0, 0), ("6", 6), (10_000, 10_000), ("all", "all")])
def test_enrollment_clips_are_a_number_or_all(given: object, meant: object) -> None:
    assert enrolling(given) == meant


@pytest.mark.parametrize("given", [-1, "-1", 10_001, "some", "", True, 1.5, None, ["all"]])
def test_other_enrollment_clips_are_refused(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^enrollment_clips: expected a number from 0 to 10000, or 'all'"):
        enrolling(given)


@pytest.mark.parametrize(
    "given", [0, -5, "0", "-5", "foo", "", 10, 16_000.5, True, None, [16_000], 10**9, float("nan")]
)
def test_a_wrong_split_at_is_refused_with_what_is_allowed(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^dataset_load_split_at: expected 'min', 'max', 'avg' or a number"):
        request(dataset_load_split_at=given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "Perceptron"},
            "model_type: unknown model type 'Perceptron'; known: EncoderClassifier, EnsembleClassifier, ",
        ),
        ({"model_type": 3}, "model_type: unknown model type 3; known: "),
        (
            {"dataset_feature_extract_methods": {"Wavelets": {}}},
            "dataset_feature_extract_methods: unknown feature extraction method 'Wavelets'; known: Functionals, MFCC",
        ),
        (
            {"dataset_feature_extract_methods": {}},
            "dataset_feature_extract_methods: expected .* at least one of: Functionals, MFCC",
        ),
        (
            {"dataset_feature_extract_methods": ["MFCC"]},
            "dataset_feature_extract_methods: expected an object",
        ),
        (
            {"dataset_feature_extract_methods": {"MFCC": 3}},
            r"dataset_feature_extract_methods\.MFCC: expected an object",
        ),
        (
            {"dataset_feature_extract_methods": {"MFCC": {"num_cepstral": 0}}},
            r"dataset_feature_extract_methods\.MFCC\.num_cepstral: .*greater than or equal to 1, got 0",
        ),
        ({"model_config": {"epochs": 0}}, r"model_config\.epochs: .*greater than or equal to 1, got 0"),
        ({"model_config": {"epochs": "20"}}, r"model_config\.epochs: expected a whole number, got '20'"),
        (
            {"model_config": {"dropout": 0.5}},
            r"model_config\.dropout: unknown field; allowed: lr, epochs, batch_size",
        ),
        ({"model_config": {"lr": float("inf")}}, r"model_config\.lr: .*finite"),
        ({"model_config": None}, r"model_config: expected an object"),
        ({"random_state": -1}, "random_state: .*greater than or equal to 0, got -1"),
        ({"random_state": 1.5}, "random_state: expected a whole number, got 1.5"),
        ({"dataset_force": "false"}, "dataset_force: .*valid boolean, got 'false'"),
        ({"data_path": ""}, "data_path: .*at least 1 character"),
        ({"data_path": 7}, "data_path: .*valid string"),
        ({"colour": "red"}, "colour: unknown field; allowed: .*model_config"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_is_told_with_its_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        request(**changes)


@pytest.mark.parametrize("field", sorted(BODY))
def test_a_mandatory_field_is_missed_by_name(field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field}: mandatory, and missing"):
        parse(TrainRequest, {name: value for name, value in BODY.items() if name != field})


def test_all_mistakes_of_one_level_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        request(random_state="x", dataset_force=1, data_path="")
    assert {violation.field for violation in caught.value.violations} == {
        "random_state",
        "dataset_force",
        "data_path",
    }


def test_a_step_s_config_and_the_request_give_the_same_error() -> None:
    wrong = {"dataset_load_split_at": "foo"}
    with pytest.raises(ConfigError) as of_step:
        parse(FeatureConfig, wrong)
    with pytest.raises(ConfigError) as of_request:
        request(**wrong)
    assert str(of_step.value) == str(of_request.value)


def test_the_order_of_the_methods_does_not_matter() -> None:
    methods: dict[str, dict[str, object]] = {"SpeakerAndGenderAndTextType": {}, "MFCC": {}}
    turned = dict(reversed(methods.items()))
    orders = [
        list(request(dataset_feature_extract_methods=given).dataset_feature_extract_methods)
        for given in (methods, turned)
    ]
    assert orders[0] == orders[1]


def test_a_request_survives_json() -> None:
    asked = request(model_config={"epochs": 3}, dataset_load_split_at="avg")
    assert parse(TrainRequest, asked.model_dump(mode="json", by_alias=True)) == asked


@pytest.mark.parametrize("split_at", ["min", "avg", 16_000])
def test_an_extractor_that_hears_whole_clips_wants_no_pieces(split_at: object) -> None:
    methods = {"SpeechEncoder": {}}
    why = "^dataset_load_split_at: SpeechEncoder hears whole clips, at their own length; expected 'max', got"
    with pytest.raises(ConfigError, match=why):
        parse(FeatureConfig, {"dataset_feature_extract_methods": methods, "dataset_load_split_at": split_at})
    given = {"dataset_feature_extract_methods": methods, "dataset_load_split_at": "max"}
    assert parse(FeatureConfig, given).dataset_load_split_at == "max"


@pytest.mark.parametrize(
    ("model_type", "given", "missing"),
    [
        ("EnsembleClassifier", {"MFCC": {}}, "Functionals and SpeechFrames"),
        ("EnsembleClassifier", {"MFCC": {}, "SpeechFrames": {}}, "Functionals"),
        ("FunctionalsClassifier", {"SpeechFrames": {}}, "Functionals"),
        ("TemporalNetworkClassifier", {"Functionals": {}}, "SpeechFrames"),
        ("EncoderClassifier", {"Functionals": {}}, "SpeechEncoder"),
    ],
)
def test_features_that_a_model_type_cannot_read_are_refused_before_anything_is_fetched(
    model_type: str, given: dict[str, Any], missing: str
) -> None:
    why = f"^dataset_feature_extract_methods: this model type reads .*; expected {missing} as well, got"
    with pytest.raises(ConfigError, match=why):
        request(model_type=model_type, dataset_feature_extract_methods=given)
    assert request(model_type=model_type, dataset_feature_extract_methods={**given, "MFCC": {}} | READS[model_type])


READS: dict[str, dict[str, Any]] = {
    "EnsembleClassifier": {"Functionals": {}, "SpeechFrames": {}},
    "FunctionalsClassifier": {"Functionals": {}},
    "TemporalNetworkClassifier": {"SpeechFrames": {}},
    "EncoderClassifier": {"SpeechEncoder": {}},
}
