"""The fields of a train request as flags, under the same names, for every command that takes one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ser.cli.options import DEFAULT_MODEL_SAVE_PATH, json_object
from ser.config import Config, parse
from ser.errors import NotFoundError
from ser.evaluation.split import Protocol

_Request = TypeVar("_Request", bound=Config)

DEFAULTS = {
    "remote_url": "embedded:",
    "data_path": "data",
    "model_save_path": DEFAULT_MODEL_SAVE_PATH,
    "model_type": "KerasDropoutClassifier",
}
"""What a command line fills in where /train has no default."""

RequestFile = Annotated[
    Path | None,
    typer.Option("--request", help="JSON file with the request, as the body of /train; flags take precedence."),
]
RemoteUrl = Annotated[
    str | None,
    typer.Option(help="Zip, folder or corpora file: URL, path, or embedded: [default: embedded:]", show_default=False),
]
DataPath = Annotated[str | None, typer.Option(help="Folder the data is saved into [default: data]")]
ModelSavePath = Annotated[str | None, typer.Option(help="Folder the model is saved into [default: models]")]
ModelType = Annotated[str | None, typer.Option(help="Model type [default: KerasDropoutClassifier]")]
ModelConfig = Annotated[str | None, typer.Option(help="JSON object, as '{\"epochs\": 20}'.")]
RandomState = Annotated[int | None, typer.Option(help="Seed of everything random [default: 42]")]
SplitAt = Annotated[str | None, typer.Option(help="Piece length: min, max, avg or samples [default: min]")]
Normalize = Annotated[bool | None, typer.Option(help="Divide each clip by its peak [default: yes]")]
Methods = Annotated[str | None, typer.Option(help='JSON object, as \'{"MFCC": {"num_cepstral": 20}}\'.')]
VirtualSpeakers = Annotated[
    int | None,
    typer.Option(help="Virtual speakers who say each clip as well, to learn from [default: the model type's]"),
]
ProtocolName = Annotated[Protocol | None, typer.Option("--protocol", help="How recordings are split [default: loso]")]
Folds = Annotated[int | None, typer.Option(help="How many folds; of kfold only [default: 10]")]
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
        ConfigError: If the request does not validate.
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
    return parse(schema, body)
