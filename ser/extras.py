"""Extras: the optional packages that a part of SER needs, and the line that names the extra where they are missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ser.errors import MissingExtraError

DISTRIBUTION = "speech-emotion"
"""What the package is installed by; what is imported is `ser`."""
MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "features": ("librosa",),
        "inference": ("ai_edge_litert", "scipy"),
        "networks": ("keras", "sklearn", "tensorflow"),
        "evaluation": ("jinja2", "matplotlib", "sklearn"),
        "onnx": ("onnxruntime",),
        "pandas": ("pandas",),
        "components": ("kfp",),
        "pipelines": ("docker", "kfp.kubernetes"),
        "client": ("google.api", "google.protobuf", "grpc"),
        "server": (
            "grpc_health",
            "grpc_reflection",
            "httptools",
            "kfp_server_api",
            "prometheus_client",
            "pydantic_settings",
            "starlette",
            "uvicorn",
            "websockets",
        ),
    }
)
"""An extra to the modules that it brings, those of the extras within it left out."""
WITHIN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "features": ("inference",),
        "networks": ("inference",),
        "onnx": ("inference",),
        "evaluation": ("inference",),
        "training": ("features", "networks", "evaluation"),
        "pipelines": ("components",),
        "server": ("client", "inference"),
        "trainer": ("training", "server"),
    }
)
"""An extra to the extras within it."""
_NAMED = 3
"""How many missing modules a message names."""


def require(what: str, *extras: str) -> None:
    """Checks that extras are installed, before work begins that could not end without them. Imports none of them.

    Args:
        what: What needs them, as a message begins: "training".
        extras: Of `MODULES` and `WITHIN`.

    Raises:
        MissingExtraError: If a package of theirs is missing; the message has the command that installs it.
    """
    if missing := sorted({module for extra in extras for module in _modules(extra) if not _is_there(module)}):
        named, rest = missing[:_NAMED], len(missing) - _NAMED
        more = f" and {rest} more" if rest > 0 else ""
        raise MissingExtraError(
            f"{what} needs what is not installed here, {', '.join(named)}{more}; "
            f"install it with: {install_command(*extras)}"
        )


def install_command(*extras: str) -> str:
    """What to type for extras, as `pip install 'speech-emotion[training]'`."""
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"


def _modules(extra: str) -> Iterator[str]:
    yield from MODULES.get(extra, ())
    for other in WITHIN.get(extra, ()):
        yield from _modules(other)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it would be in
        return False
