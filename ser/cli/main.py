"""The `ser` command: train, evaluate, predict, corpus, enroll and more; other packages add theirs by entry point.

Results go to standard output, progress and errors to standard error. Exit status: 0 success, 1 a defect of SER
itself, and by the kind of error as `ser.cli.console.EXIT_STATUS` says.
"""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from ser.cli import corpus, encoder, enroll, evaluate, models, predict, speakers, synthesise, train
from ser.cli.console import errors_as_lines
from ser.cli.plain_help import Command, application
from ser.registry import LeftOutError, load, plug_ins
from ser.version import VERSION

app = application(
    help="Speech emotion recognition: train, evaluate and use models.",
    epilog=(
        "Exit status: 0 success; 2 wrong input; 3 no such model, sample or file; 4 the source or corpus does not "
        "serve, or an extra or an encoder is missing; 5 too large; 6 a damaged folder; 7 the operating system refused; "
        "8 a server that refused or did not answer; 1 a defect of SER."
    ),
    pretty_exceptions_enable=False,
)
for module in (train, evaluate, predict, enroll, speakers, models, synthesise):
    app.command(cls=Command)(module.command)
    app.registered_commands[-1].name = module.__name__.rpartition(".")[2]
app.add_typer(corpus.commands, name="corpus")
app.add_typer(encoder.commands, name="encoder")
for plug_in in plug_ins("ser.commands"):
    with contextlib.suppress(LeftOutError):
        app.add_typer(load(plug_in, "command"), name=plug_in.name)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line; an error of the user's or the machine's is one line, never a traceback."""
    with errors_as_lines():
        app()
