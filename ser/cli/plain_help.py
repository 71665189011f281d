"""Help as plain text: Rich's tables cut the names of flags at 80 columns, and take "[default: ...]" for markup."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from ser.models import MODEL_TYPES

MODEL_TYPES_PLACE = "{model_types}"
"""Stands in a flag's help for the names of the model types."""


class Command(TyperCommand):
    """A command whose help has the model types. They are looked up when somebody asks for help, and not before."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """See `TyperCommand.format_help`."""
        for parameter in self.params:
            if isinstance(parameter, TyperOption) and parameter.help:
                names = ", ".join(MODEL_TYPES.names())
                parameter.help = parameter.help.replace(MODEL_TYPES_PLACE, names)
        super().format_help(ctx, formatter)


def application(**settings: Any) -> typer.Typer:
    """A group of commands, itself with help as plain text; without a command it shows that."""
    return typer.Typer(no_args_is_help=True, rich_markup_mode=None, **settings)
