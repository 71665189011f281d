"""The fields of a train request as flags, under the same names, for every command that takes one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ser.cli.options import DEFAULT_MODEL_SAVE_PATH, json_object
from ser.cli.plain_help import MODEL_TYPES_PLACE
from ser.config import Config, parse
from ser.errors import NotFoundError
from ser.evaluation.split import Protocol
from ser.models import MODEL_TYPES
from ser.request import DEFAULT_MODEL_TYPE, DEMONSTRATIONS, MODEL_TYPE_VARIABLE, default_model_type

_Request = TypeVar("_Request", bound=Config)

DEFAULTS = {
    "remote_url": "embedded:",
    "data_path": "data",
    "model_save_path": DEFAULT_MODEL_SAVE_PATH,
}
"""What a command line fills in where /train has no default; the model type is `default_model_type`."""

RequestFile = Annotated[
    Path | None,
    typer.Option("--request", help="JSON file with the request, as the body of /train; flags take precedence."),
]
RemoteUrl = Annotated[
    str | None,
    typer.Option(help="Zip, folder or corpora file: URL, path, or embedded: [default: embedded:]"),
]
DataPath = Annotated[str | None, typer.Option(help="Folder the data is saved into [default: data]")]
ModelSavePath = Annotated[str | None, typer.Option(help="Folder the model is saved into [default: models]")]
ModelType = Annotated[
    str | None,
    typer.Option(
        help=f"One of {MODEL_TYPES_PLACE} [default: what {MODEL_TYPE_VARIABLE} says, else {DEFAULT_MODEL_TYPE}]",
        autocompletion=MODEL_TYPES.names,
    ),
]
ModelConfig = Annotated[str | None, typer.Option(help="JSON object, as '{\"penalty\": 1}' [default: the model type's]")]
RandomState = Annotated[int | None, typer.Option(help="Seed of everything random [default: 42]")]
SplitAt = Annotated[str | None, typer.Option(help="Piece length: min, max, avg, samples [default: the model type's]")]
Normalize = Annotated[bool | None, typer.Option(help="Divide each clip by its peak [default: yes]")]
Methods = Annotated[
    str | None, typer.Option(help='JSON object, as \'{"SpeechEncoder": {}, "MFCC": {}}\' [default: the model type\'s]')
]
VirtualSpeakers = Annotated[
    int | None,
    typer.Option(help="Virtual speakers who say each clip as well, 0 to 10, to learn from [default: the model type's]"),
]
ProtocolName = Annotated[Protocol | None, typer.Option("--protocol", help="How recordings are split [default: loso]")]
Folds = Annotated[int | None, typer.Option(help="How many folds; of kfold only [default: 10]")]
Group = Annotated[
    str | None,
    typer.Option(
        help="What keeps recordings in one fold of kfold: speaker, text, gender, corpus, or a column of --fold-file",
        show_default=False,
    ),
]
FoldFile = Annotated[
    str | None,
    typer.Option(
        help="Folds of kfold that are given: a CSV with columns file and fold, or EmoBox's folder or zip; path or URL",
        show_default=False,
    ),
]
EnrollmentClips = Annotated[
    str | None,
    typer.Option(
        help="Unlabelled clips that a model that adapts hears before it judges one: a number, or all, the judged one "
        "too [default: 0]",
        show_default=False,
    ),
]
EnrollmentOf = Annotated[
    str | None,
    typer.Option(help="Whose clips those are: the judged one's speaker or corpus [default: speaker]"),
]
Force = Annotated[bool | None, typer.Option(help="Redo every stage though its result is there.")]


def read_request(
    file: Path | None,
    schema: type[_Request],
    *,
    model_config: str | None,
    dataset_feature_extract_methods: str | None,
    **flags: Any,
) -> _Request:
    """Puts defaults, a request file and flags together, the later over the earlier.

    Raises:
        NotFoundError: If there is no such file.
        ConfigError: If the request does not validate, or nobody asks for a model type and the environment names one
            that there is not.
    """
    body: dict[str, Any] = {name: value for name, value in DEFAULTS.items() if name in schema.model_fields}
    if file is not None:
        try:
            body |= json_object(file.read_text(encoding="utf-8"), str(file))
        except FileNotFoundError:
            raise NotFoundError(f"{file}: no such file") from None
    objects = {
        "model_config": model_config,
        "dataset_feature_extract_methods": dataset_feature_extract_methods,
    }
    body |= {name: value for name, value in flags.items() if value is not None}
    body |= {name: json_object(text, name) for name, text in objects.items() if text is not None}
    if "model_type" not in body:
        body["model_type"] = default_model_type()
        MODEL_TYPES.get(body["model_type"], field=MODEL_TYPE_VARIABLE)
    return parse(schema, body)


def print_purpose(model_type: str) -> None:
    """Says of a model type that is for demonstrations that it is, so that nobody takes it for what can be had."""
    if model_type in DEMONSTRATIONS:
        better = f"--model-type {DEFAULT_MODEL_TYPE} is right far more often"
        typer.echo(f"note    {model_type} is for demonstrations; {better}")
