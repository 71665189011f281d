"""Makes `deploy/schemas/` from what two projects publish of their custom resources: `python deploy/vendor_schemas.py`.

The definitions come as Go modules, so Go is needed. What `check.py` has no use for is left out: descriptions,
`status`, and of an InferenceService all but a predictor of one's own containers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SCHEMAS = Path(__file__).parent / "schemas"


@dataclass(frozen=True)
class Definition:
    """Where a custom resource definition comes from, and what is left out of it."""

    module: str
    """Go module with its version."""
    path: str
    left_out: tuple[str, ...] = ()
    """Properties, by their path from the root."""


DEFINITIONS = (
    Definition(
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
    Definition(
        "github.com/kserve/kserve@v0.17.0",
        "config/crd/full/serving.kserve.io_inferenceservices.yaml",
        (
            "spec.explainer",
            "spec.transformer",
            "spec.predictor.workerSpec",
            "spec.predictor.initContainers",
            *(
                f"spec.predictor.{framework}"
                for framework in (
                    "huggingface", "lightgbm", "model", "onnx", "paddle", "pmml", "pytorch", "sklearn", "tensorflow",
                    "triton", "xgboost",
                )
            ),
        ),
    ),
)  # fmt: skip


def main() -> None:
    """Writes one file a version of each definition."""
    go = shutil.which("go")
    if go is None:
        sys.exit("vendor_schemas: expected Go, which downloads the definitions")
    for definition in DEFINITIONS:
        command = [go, "mod", "download", "-json", definition.module]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - ours
        module = Path(json.loads(answer)["Dir"])
        resource = yaml.safe_load((module / definition.path).read_text(encoding="utf-8"))["spec"]
        notice = module / "NOTICE"  # which the licence wants to be handed on
        attribution = f" NOTICE: {' '.join(notice.read_text(encoding='utf-8').split())}" if notice.is_file() else ""
        for version in resource["versions"]:
            schema = without_descriptions(version["schema"]["openAPIV3Schema"])
            for name in ("status", *definition.left_out):
                remove(schema, name)
            left_out = ", ".join(("descriptions", "status", *definition.left_out))
            comment = f"{definition.module}, {definition.path}; Apache-2.0. Left out here: {left_out}.{attribution}"
            file = SCHEMAS / f"{resource['group']}_{version['name']}_{resource['names']['kind']}.json"
            file.write_text(json.dumps({"$comment": comment, **schema}, indent=1) + "\n", encoding="utf-8")


def without_descriptions(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without its descriptions; a property may well have that name."""
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {name: without_descriptions(each) for name, each in value.items()}
        elif isinstance(value, dict):
            kept[key] = without_descriptions(value)
        elif key != "description":
            kept[key] = value
    return kept


def remove(schema: dict[str, Any], path: str) -> None:
    """Takes a property out of a schema."""
    *parents, name = path.split(".")
    for parent in parents:
        schema = schema["properties"][parent]
    del schema["properties"][name]


if __name__ == "__main__":
    main()
