"""`ser speakers`: whom a model knows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from ser.bundles.model_store import bundle_folder
from ser.cli.options import DEFAULT_MODEL_SAVE_PATH, AsJson, ModelSavePath, print_json, print_table
from ser.cli.predictors import ModelId, Server, TlsCa, TokenFile, open_predictor
from ser.speakers.enrolment import delete_speakers


def command(
    delete: Annotated[
        list[str] | None, typer.Option(help="Forget what this speaker enrolled; may come several times.")
    ] = None,
    delete_all: Annotated[
        bool,
        typer.Option("--delete-all", help="Forget all who enrolled; with --model-id, of a model that is gone as well."),
    ] = False,
    model_id: ModelId = None,
    model_save_path: ModelSavePath = DEFAULT_MODEL_SAVE_PATH,
    server: Server = None,
    token_file: TokenFile = None,
    tls_ca: TlsCa = None,
    as_json: AsJson = False,
) -> None:
    """List the speakers that a model knows: those who enrolled, and those it was trained on."""
    if delete_all and model_id and not server:
        # Without the model, which may be gone, or damaged.
        bundle_folder(model_save_path, model_id)  # is it a name?
        found = delete_speakers(model_save_path, model_id)
        typer.echo(f"{'forgot all who' if found else 'nobody'} enrolled for {model_id}")
        return
    predictor = open_predictor(model_save_path, model_id, server, token_file, tls_ca)
    enrolled = [one.speaker for one in predictor.speakers.list() if one.enrolled_clips] if delete_all else []
    for speaker in [*(delete or []), *enrolled]:
        predictor.speakers.delete(speaker)
    known = predictor.speakers.list()
    if as_json:
        print_json({"model_id": predictor.model_id, "speakers": [asdict(one) for one in known]})
        return
    table = Table("speaker", "enrolled clips", "training clips", box=None)
    for one in known:
        table.add_row(one.speaker, str(one.enrolled_clips), str(one.training_clips))
    print_table(table)
