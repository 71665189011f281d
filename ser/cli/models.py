"""`ser models`: what has been trained."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from ser.bundles.manifest import Manifest
from ser.bundles.model_store import delete_bundle, list_models, load_manifest, open_bundle
from ser.cli.options import DEFAULT_MODEL_SAVE_PATH, AsJson, ModelSavePath, print_json, print_table
from ser.errors import ConfigError, DamagedError, FieldViolation, StorageError


def command(
    model_id: Annotated[str | None, typer.Argument(help="Show all of one model.")] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete that model, its report, and who enrolled for it.")
    ] = False,
    model_save_path: ModelSavePath = DEFAULT_MODEL_SAVE_PATH,
    as_json: AsJson = False,
) -> None:
    """List the models, show one whole and check that it is undamaged, or delete one."""
    if delete:
        if model_id is None:
            raise ConfigError([FieldViolation("model_id", "expected the model to delete: ser models MODEL --delete")])
        delete_bundle(model_save_path, model_id)
        typer.echo(f"deleted {model_id}, and who enrolled for it")
        return
    if model_id is not None:
        print_json(open_bundle(model_save_path, model_id).manifest.model_dump(mode="json"))
        return
    manifests: list[Manifest] = []
    damage: DamagedError | StorageError | None = None
    for name in list_models(model_save_path):
        try:
            manifests.append(load_manifest(model_save_path, name))
        except (DamagedError, StorageError) as error:
            if damage is not None:
                typer.echo(f"ser: {damage}", err=True)
            damage = error
    if as_json:
        print_json([manifest.model_dump(mode="json") for manifest in manifests])
    elif manifests:
        _print(manifests)
    else:
        typer.echo(f"no models in {model_save_path}")
    if damage is not None:
        raise damage


def _print(manifests: list[Manifest]) -> None:
    table = Table("model", "corpus", "recordings", "UAR", "accuracy", "created", box=None)
    for manifest in sorted(manifests, key=lambda manifest: manifest.created):
        recordings = manifest.training_samples + len(manifest.validation_samples)
        uar, accuracy = manifest.metrics["uar"], manifest.metrics["accuracy"]
        row = (
            manifest.model_id,
            manifest.source,
            str(recordings),
            f"{uar:.3f}",
            f"{accuracy:.3f}",
            manifest.created,
        )
        table.add_row(*row)
    print_table(table)
