"""The ground of every typed config: strict models, and validation errors that name the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic import BeforeValidator, ConfigDict, Strict
from pydantic_core import PydanticCustomError

from ser.errors import ConfigError, FieldViolation


class Config(pydantic.BaseModel):
    """A frozen config that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), validate_default=True)


def _whole(value: object) -> object:
    # 20.0 is how JSON libraries and Protobuf's Struct spell 20; true is an int only to Python.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise PydanticCustomError("whole_number", "expected a whole number")
    return value


def _real(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("number", "expected a number")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
"""An int; takes 20 and 20.0, refuses "20", 20.5 and true."""
Real = Annotated[float, BeforeValidator(_real), pydantic.Field(allow_inf_nan=False)]
"""A finite float; takes numbers only."""
Flag = Annotated[bool, Strict()]
"""A bool; takes true and false only."""

ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)


def parse(config_type: type[ConfigT], data: object, *, at: str = "") -> ConfigT:
    """Validates `data` as a config.

    Args:
        config_type: The config's class.
        data: A mapping from field to value, or a config of that class, which is returned.
        at: Dotted path of `data` in what the user gave, put before each field's name in errors.

    Raises:
        ConfigError: If it does not validate; each violation names its field and what is allowed there.
    """
    if isinstance(data, config_type):
        return data
    if not isinstance(data, Mapping):
        raise ConfigError([FieldViolation(at, f"expected an object with fields, got {data!r}")])
    try:
        return config_type.model_validate(dict(data))
    except pydantic.ValidationError as error:
        raise ConfigError([_violation(config_type, detail, at) for detail in error.errors()]) from None


def _violation(config_type: type[pydantic.BaseModel], detail: Any, at: str) -> FieldViolation:
    path = [str(part) for part in detail["loc"]]
    if detail["type"] == "extra_forbidden":
        allowed = ", ".join(field.alias or name for name, field in config_type.model_fields.items())
        return FieldViolation(".".join(filter(None, [at, *path])), f"unknown field; allowed: {allowed or 'none'}")
    message = detail["msg"][:1].lower() + detail["msg"][1:]
    if detail["type"] == "missing":
        message = "mandatory, and missing"
    else:
        message = f"{message.removeprefix('value error, ')}, got {detail['input']!r}"
    return FieldViolation(".".join(filter(None, [at, *path])), message)
