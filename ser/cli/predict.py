"""`ser predict`: the emotion of recordings."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ser.cli.options import DEFAULT_MODEL_SAVE_PATH, AsJson, ModelSavePath, print_json, print_table
from ser.cli.predictors import AnyPredictor, ModelId, Server, TlsCa, TokenFile, open_predictor
from ser.errors import AudioError, ConfigError, FieldViolation, LimitError, NotFoundError, SerError
from ser.features import About
from ser.predictor import UNCERTAIN, Prediction


def command(
    recordings: Annotated[list[Path] | None, typer.Argument(help="Audio files: WAV, FLAC, OGG, MP3.")] = None,
    sample_name: Annotated[
        list[str] | None, typer.Option(help="One of the model's validation samples; may come several times.")
    ] = None,
    model_id: ModelId = None,
    model_save_path: ModelSavePath = DEFAULT_MODEL_SAVE_PATH,
    speaker: Annotated[
        str | None, typer.Option(help="Who speaks; a model that adapts does so if it knows this speaker.")
    ] = None,
    enrollment_clips: Annotated[
        list[Path] | None,
        typer.Option(help="Unlabelled recording of the speaker, to adapt to this once; may come several times."),
    ] = None,
    adapt: Annotated[
        bool,
        typer.Option("--adapt", help="Adapt to all recordings together: of one person, call or archive, unlabelled."),
    ] = False,
    gender: Annotated[str | None, typer.Option(help="The speaker's gender, for models that use it.")] = None,
    text: Annotated[str | None, typer.Option(help="Which text is spoken, for models that use it.")] = None,
    uncertain_below: Annotated[
        float, typer.Option(min=0, max=1, help='Say "uncertain" where the most probable emotion has less than this.')
    ] = 0.0,
    server: Server = None,
    token_file: TokenFile = None,
    tls_ca: TlsCa = None,
    as_json: AsJson = False,
) -> None:
    """Predict the emotion of recordings, here or by a server.

    A recording that cannot be used is told of on standard error; the others are predicted, and the exit status
    is the first error's.
    """
    if not recordings and not sample_name:
        raise ConfigError([FieldViolation("recordings", "expected audio files, or --sample-name")])
    predictor = open_predictor(model_save_path, model_id, server, token_file, tls_ca)
    about = About(speaker, gender, text)
    heard = predictor.listen_to(enrollment_clips) if enrollment_clips else ()
    if adapt:
        heard = _listen_to_all(predictor, recordings or [], heard)
    predictions = [predictor.predict_sample(sample, threshold=uncertain_below) for sample in sample_name or []]
    first_error: SerError | None = None
    for recording in recordings or []:
        try:
            prediction = predictor.predict(
                recording, about=about, enrollment_clips=heard, name=str(recording), threshold=uncertain_below
            )
            predictions.append(prediction)
        except SerError as error:
            if first_error is not None:
                typer.echo(f"ser: {first_error}", err=True)
            first_error = error
    if as_json:
        print_json(
            {
                "model_id": predictor.model_id,
                "predictions": [p.to_dict() for p in predictions],
            }
        )
    elif predictions:
        _print(predictions)
    if first_error is not None:
        raise first_error


def _listen_to_all(predictor: AnyPredictor, recordings: list[Path], heard: Any) -> Any:
    """What recordings tell besides; of those that cannot be used it is told when they are predicted."""
    for recording in recordings:
        with contextlib.suppress(AudioError, LimitError, NotFoundError):
            one = predictor.listen_to([recording])
            heard = heard + one if heard else one
    return heard


def _print(predictions: list[Prediction]) -> None:
    table = Table("recording", "prediction", "probability", "next", box=None)
    more = {}
    if any(prediction.ground_truth for prediction in predictions):
        more["truth"] = [prediction.ground_truth or "" for prediction in predictions]
    if any(prediction.speaker_clips for prediction in predictions):
        more["clips adapted to"] = [str(prediction.speaker_clips) for prediction in predictions]
    if any(prediction.familiarity is not None for prediction in predictions):
        told = [prediction.familiarity for prediction in predictions]
        more["familiarity"] = ["" if one is None else f"{one:.2f}" for one in told]
    for title in more:
        table.add_column(title)
    for number, prediction in enumerate(predictions):
        (best, first), (second, after) = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:2]
        runner_up = f"{second} {after:.2f}"
        if prediction.prediction == UNCERTAIN:
            runner_up = f"{best} {first:.2f}, {runner_up}"
        row = [prediction.sample_name, prediction.prediction, f"{first:.2f}", runner_up]
        table.add_row(*row, *(cells[number] for cells in more.values()))
    print_table(table)
