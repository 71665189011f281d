"""The API as OpenAPI 3.1, from the same descriptors as the routes."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from ser.version import VERSION


def openapi(service: ServiceDescriptor) -> dict[str, Any]:
    """The document."""
    return {"openapi": "3.1.0", "info": {"title": service.name, "version": VERSION}, "paths": {}}
