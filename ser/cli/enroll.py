"""`ser enroll`: lets a model know somebody's voice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ser.cli.options import DEFAULT_MODEL_SAVE_PATH, AsJson, ModelSavePath, print_json
from ser.cli.predictors import ModelId, Server, TlsCa, TokenFile, open_predictor


def command(
    speaker: Annotated[str, typer.Argument(help="A name: up to 128 letters, digits, '.', '_' and '-'.")],
    recordings: Annotated[list[Path], typer.Argument(help="Unlabelled audio files of that speaker.")],
    replace: Annotated[bool, typer.Option("--replace", help="Forget what was enrolled before.")] = False,
    model_id: ModelId = None,
    model_save_path: ModelSavePath = DEFAULT_MODEL_SAVE_PATH,
    server: Server = None,
    token_file: TokenFile = None,
    tls_ca: TlsCa = None,
    as_json: AsJson = False,
) -> None:
    """Let a model know a speaker from unlabelled recordings, so that `ser predict --speaker` adapts.

    Sums over features are kept, no sound. If one recording cannot be used, none is taken.
    """
    predictor = open_predictor(model_save_path, model_id, server, token_file, tls_ca)
    clips = predictor.enroll(speaker, recordings, replace=replace)
    if as_json:
        print_json({"model_id": predictor.model_id, "speaker": speaker, "clips": clips})
    else:
        typer.echo(f"{speaker}: {clips} {'clip' if clips == 1 else 'clips'} known to {predictor.model_id}")
