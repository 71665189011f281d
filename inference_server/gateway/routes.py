"""The HTTP routes of a service, as its proto's `google.api.http` annotations say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Route:
    """One way to one RPC."""

    rpc: MethodDescriptor
    verb: str
    """GET, POST, PUT, PATCH or DELETE."""
    path: str
    """As "/jobs/{job_id}:cancel"; variables are names of string fields."""
    takes_body: bool
    """Whether the fields that are not in the path come as a body, else in the query."""

    @property
    def variables(self) -> list[str]:
        """The fields that come in the path."""
        return _VARIABLE.findall(self.path)


def routes(service: ServiceDescriptor) -> list[Route]:
    """All routes of a service; where two match one path, the more literal comes first.

    Raises:
        ValueError: If an annotation uses what the gateway does not know: a body that is one field only, or a path
            variable with a pattern.
    """
    found = [route for rpc in service.methods for route in _routes(rpc)]
    return sorted(found, key=lambda route: (len(route.variables), -len(_VARIABLE.sub("", route.path))))


def _routes(rpc: MethodDescriptor) -> Iterator[Route]:
    rule = rpc.GetOptions().Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        verb = binding.WhichOneof("pattern")
        if verb is None:
            continue
        path = getattr(binding, verb)
        if binding.body not in ("", "*") or "{" in _VARIABLE.sub("", path):
            raise ValueError(f'{rpc.full_name}: the gateway knows body "*" and variables as {{field}}, got {binding}')
        yield Route(rpc, verb.upper(), path, binding.body == "*")
