"""`ser corpus inspect`: what a corpus holds, what is wrong with it, and how it can be evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from ser.cli.console import progress_display
from ser.cli.options import AsJson, print_json, print_table
from ser.cli.plain_help import Command, application
from ser.cli.request_options import DEFAULTS
from ser.corpora.inspection import Inspection, inspect_corpus
from ser.corpora.schemes.base import listed
from ser.dataset import Dataset

commands = application(help="Corpora: look at one before training on it.")
_MOST_ROWS, _MOST_COLUMNS = 30, 12


@commands.callback()
def _root() -> None:
    """Keeps `inspect` a command of its own."""


@commands.command(cls=Command)
def inspect(
    source: Annotated[
        str, typer.Argument(help="A zip, a folder, a corpora file (.yaml, .json) or their URL, or embedded:")
    ],
    data_path: Annotated[
        str, typer.Option(help="Folder the data is saved into; a training there does not fetch it again.")
    ] = DEFAULTS["data_path"],
    as_json: AsJson = False,
) -> None:
    """Tell what a corpus holds, what is wrong with it, and how speakers and labels go together."""
    with progress_display() as report:
        dataset = Dataset(data_path, source, report=report)
        found = inspect_corpus(dataset.extract(), source, dataset.parts(), report=report)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)


def _print(found: Inspection) -> None:
    for part in found.corpora:
        left_out = f", {part.left_out} left out by the mapping" if part.left_out else ""
        typer.echo(f"{part.name or found.source}: {part.title}; {part.files} files{left_out}")
    low, mean, high = (found.seconds[name] for name in ("min", "mean", "max"))
    typer.echo(
        f"{found.recordings} recordings, {found.hours:.2f} hours, {low:.1f} to {high:.1f} s, {mean:.1f} on average"
    )
    typer.echo(f"sample rates  {_shares(found.sample_rates_hz, ' Hz')}")
    typer.echo(f"channels      {_shares(found.channels, '')}")
    typer.echo(f"genders       {_shares(found.genders, '')}")
    typer.echo(f"texts         {len(found.texts)}\n")
    _print_counts(found)
    for title, lines in (
        ("A training would be refused", found.problems),
        ("Worth knowing", _remarks(found)),
        ("How labels go together with the rest", [one.meaning for one in found.confounding]),
    ):
        if lines:
            typer.echo(f"\n{title}:")
            for line in lines:
                typer.echo(f"  {line}")
    typer.echo("\nProtocols:")
    for one in found.protocols:
        typer.echo(f"  {one.protocol}: {one.verdict}. {one.reason}")


def _print_counts(found: Inspection) -> None:
    """Recordings of each label, by speaker where that fits."""
    labels, speakers = list(found.labels), found.labels_by_speaker
    if len(speakers) > _MOST_ROWS or len(labels) > _MOST_COLUMNS:
        table = Table("label", "recordings", "speakers", box=None)
        for label in labels:
            of_label = sum(label in counts for counts in speakers.values())
            table.add_row(label, str(found.labels[label]), str(of_label))
    else:
        table = Table("speaker", *labels, "all", box=None)
        for speaker, counts in speakers.items():
            cells = [str(counts.get(label, "-")) for label in labels]
            table.add_row(speaker, *cells, str(sum(counts.values())))
        table.add_row("all", *(str(count) for count in found.labels.values()), str(found.recordings))
    print_table(table)


def _remarks(found: Inspection) -> list[str]:
    missing = [f"{speaker} {label}" for speaker, label in found.missing_combinations]
    groups: Sequence[tuple[str, Sequence[str]]] = (
        ("Sets of files with the same content", [" = ".join(paths) for paths in found.duplicates]),
        ("Files below -60 dB", found.quiet),
        ("Pairs of speaker and label without a recording", missing),
    )
    return [f"{what}: {len(items)} ({listed(items)})" for what, items in groups if items]


def _shares(counts: Mapping[Any, int], unit: str) -> str:
    return ", ".join(f"{value}{unit}: {count}" for value, count in counts.items())
