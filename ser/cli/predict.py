"""`ser predict`: the emotion of recordings."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.table import Table

from ser.cli.options import DEFAULT_MODEL_SAVE_PATH, AsJson, ModelSavePath, newest_model, print_json, print_table
from ser.errors import ConfigError, FieldViolation, SerError
from ser.features import About
from ser.predictor import UNCERTAIN, Prediction, Predictor


def command(
    recordings: Annotated[list[Path] | None, typer.Argument(help="Audio files: WAV, FLAC, OGG, MP3.")] = None,
    sample_name: Annotated[
        list[str] | None, typer.Option(help="One of the model's validation samples; may come several times.")
    ] = None,
    model_id: Annotated[str | None, typer.Option(help="Which model; by default the newest.")] = None,
    model_save_path: ModelSavePath = DEFAULT_MODEL_SAVE_PATH,
    speaker: Annotated[str | None, typer.Option(help="Who speaks, for models that use it.")] = None,
    gender: Annotated[str | None, typer.Option(help="The speaker's gender, for models that use it.")] = None,
    text: Annotated[str | None, typer.Option(help="Which text is spoken, for models that use it.")] = None,
    uncertain_below: Annotated[
        float, typer.Option(min=0, max=1, help='Say "uncertain" where the most probable emotion has less than this.')
    ] = 0.0,
    server: Annotated[str | None, typer.Option(help="Predict by the server at host:port, over gRPC.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the server's bearer token.")] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="PEM file of the server's authority; the way is TLS.")] = None,
    as_json: AsJson = False,
) -> None:
    """Predict the emotion of recordings, here or by a server.

    A recording that cannot be used is told of on standard error; the others are predicted, and the exit status
    is the first error's.
    """
    if not recordings and not sample_name:
        raise ConfigError([FieldViolation("recordings", "expected audio files, or --sample-name")])
    predictor: _AnyPredictor = (
        _remote(server, model_id, token_file, tls_ca)
        if server
        else Predictor(model_save_path, model_id or newest_model(model_save_path))
    )
    about = About(speaker, gender, text)
    predictions = [predictor.predict_sample(sample, threshold=uncertain_below) for sample in sample_name or []]
    first_error: SerError | None = None
    for recording in recordings or []:
        try:
            predictions.append(
                predictor.predict(recording, about=about, name=str(recording), threshold=uncertain_below)
            )
        except SerError as error:
            if first_error is not None:
                typer.echo(f"ser: {first_error}", err=True)
            first_error = error
    if as_json:
        print_json(
            {
                "model_id": predictor.model_id,
                "predictions": [p.to_json() for p in predictions],
            }
        )
    elif predictions:
        _print(predictions)
    if first_error is not None:
        raise first_error


class _AnyPredictor(Protocol):
    @property
    def model_id(self) -> str: ...

    def predict(self, recording: Path, *, about: About, name: str, threshold: float) -> Prediction: ...

    def predict_sample(self, sample_name: str, *, threshold: float) -> Prediction: ...


def _remote(server: str, model_id: str | None, token_file: Path | None, tls_ca: Path | None) -> _AnyPredictor:
    """A server's model. The client is another package, which knows gRPC; this one finds it by its entry point."""
    found = importlib.metadata.entry_points(group="ser.remote", name="predictor")
    token = _read_line(token_file) if token_file else None
    predictor: _AnyPredictor = next(iter(found)).load()(server, model_id, token=token, tls_ca=tls_ca)
    return predictor


def _read_line(path: Path) -> str:
    """The first line of a file that is not a comment.

    Raises:
        ConfigError: If there is none.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if line and not line.startswith("#"):
            return line
    raise ConfigError([FieldViolation("token_file", f"expected a token in {path}")])


def _print(predictions: list[Prediction]) -> None:
    table = Table("recording", "prediction", "probability", "next", box=None)
    if any(prediction.ground_truth for prediction in predictions):
        table.add_column("truth")
    for prediction in predictions:
        (best, first), (second, after) = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:2]
        runner_up = f"{second} {after:.2f}"
        if prediction.prediction == UNCERTAIN:
            runner_up = f"{best} {first:.2f}, {runner_up}"
        row = [prediction.sample_name, prediction.prediction, f"{first:.2f}", runner_up]
        table.add_row(*row, *([prediction.ground_truth] if prediction.ground_truth else []))
    print_table(table)
