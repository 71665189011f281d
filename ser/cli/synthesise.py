"""`ser synthesise`: the embedded corpus as a zip of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ser.cli.console import progress_display
from ser.errors import ConfigError, FieldViolation
from ser.sources.embedded import EMBEDDED_CLIPS
from ser.synthesis import synthesise_corpus


def command(
    path: Annotated[Path, typer.Argument(help="The zip to write.")],
    clips: Annotated[int, typer.Option(help="How many recordings.")] = EMBEDDED_CLIPS,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
) -> None:
    """Write a corpus of synthetic emotional speech, laid out like EmoDB."""
    try:
        with progress_display() as report:
            synthesise_corpus(path, clips=clips, seed=seed, report=report)
    except ValueError as error:
        raise ConfigError([FieldViolation("clips", str(error))]) from error
    typer.echo(f"{path}: {clips} recordings")
