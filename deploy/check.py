"""Renders the overlays and holds them against the schemas of Kubernetes and our own rules: `make check`.

The schemas of custom resources (ServiceMonitor, InferenceService) are in `schemas/`; `vendor_schemas.py` made them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from ser.version import VERSION

DEPLOY = Path(__file__).parent
KUBERNETES = "1.33"
SCHEMAS = DEPLOY / "schemas"


def main() -> None:
    """`check.py KUSTOMIZE`: prints what is wrong, and exits with 1 if anything is."""
    wrong: list[str] = []
    for overlay in sorted((DEPLOY / "overlays").iterdir()):
        command = [sys.argv[1], "build", str(overlay)]
        rendered = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - make's own
        if rendered.returncode != 0:
            wrong.append(f"{overlay.name}: {rendered.stderr.strip()}")
        else:
            wrong += [f"{overlay.name}: {problem}" for problem in problems(rendered.stdout)]
    for path in sorted((DEPLOY / "kserve").glob("*.yaml")):
        wrong += [f"{path.name}: {problem}" for problem in problems(path.read_text(encoding="utf-8"))]
    sys.exit("\n".join(wrong) if wrong else 0)


def problems(text: str) -> Iterator[str]:
    """What is wrong with some rendered resources."""
    resources = [document for document in yaml.safe_load_all(text) if document]
    if not resources:
        yield "nothing was rendered"
    names = {(resource["kind"], resource["metadata"]["name"]) for resource in resources}
    for resource in resources:
        name = f"{resource['kind']} {resource['metadata']['name']}"
        yield from (f"{name}: {problem}" for problem in _schema_problems(resource))
        pod = _pod(resource)
        if pod is not None:
            yield from (f"{name}: {problem}" for problem in _pod_problems(pod, names))


def _schema_problems(resource: dict[str, Any]) -> Iterator[str]:
    custom = SCHEMAS / f"{resource['apiVersion'].replace('/', '_')}_{resource['kind']}.json"
    if custom.is_file():
        schema = _strict(json.loads(custom.read_text(encoding="utf-8")))
        for error in jsonschema.Draft202012Validator(schema).iter_errors(resource):
            yield f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        return
    try:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError:
        yield f"no schema of {resource['apiVersion']} {resource['kind']}, neither Kubernetes' nor in {SCHEMAS.name}/"


def _strict(schema: Any) -> Any:
    """The schema with fields that it does not name refused, as a Kubernetes server refuses them from kubectl."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        strict.setdefault("additionalProperties", False)
    return strict


def _pod(resource: dict[str, Any]) -> dict[str, Any] | None:
    spec = resource.get("spec", {})
    pod: dict[str, Any] | None = spec.get("template", {}).get("spec") or spec.get("predictor")
    return pod


def _pod_problems(pod: dict[str, Any], names: set[tuple[str, str]]) -> Iterator[str]:
    context = pod.get("securityContext", {})
    if not context.get("runAsNonRoot") or context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "expected securityContext with runAsNonRoot and seccompProfile RuntimeDefault"
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    for volume in pod.get("volumes", []):
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim and ("PersistentVolumeClaim", claim) not in names:
            yield f"volume {volume['name']} wants claim {claim}, which is not there"
    for container in pod["containers"]:
        yield from (f"{container['name']}: {problem}" for problem in _container_problems(container, volumes))


def _container_problems(container: dict[str, Any], volumes: set[str]) -> Iterator[str]:
    own = container.get("securityContext", {})
    if own.get("allowPrivilegeEscalation") is not False or not own.get("readOnlyRootFilesystem"):
        yield "expected allowPrivilegeEscalation false and readOnlyRootFilesystem"
    if own.get("capabilities", {}).get("drop") != ["ALL"]:
        yield "expected all capabilities dropped"
    if not container["image"].endswith(f":{VERSION}"):
        yield f"expected an image of version {VERSION}, got {container['image']}"
    if "requests" not in container.get("resources", {}):
        yield "expected resource requests"
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in volumes:
            yield f"mounts volume {mount['name']}, which is not there"


if __name__ == "__main__":
    main()
