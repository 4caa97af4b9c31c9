"""A shard's options as a typed value. They are strings, are kept in the catalog and shown: never secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from tenantry.errors import InvalidArgument

T = TypeVar("T", bound=msgspec.Struct)


def options_of(kind: type[T], given: Mapping[str, str]) -> T:
    """The options as a value of ``kind``. Raises InvalidArgument, which names the option and what is allowed."""
    known = kind.__struct_fields__
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise InvalidArgument(f"options.{unknown[0]}", given[unknown[0]], "one of " + ", ".join(known))
    for name, value in given.items():
        try:
            msgspec.convert({name: value}, msgspec.defstruct("One", [_field_of(kind, name)]), strict=False)
        except msgspec.ValidationError as error:
            raise InvalidArgument(f"options.{name}", value, str(error).split(" - at")[0]) from None
    return msgspec.convert(dict(given), kind, strict=False)


def secret(option: str, variable: str) -> str:
    """What an environment variable that an option names holds. Raises InvalidArgument when it is not set."""
    value = os.environ.get(variable, "")
    if not value:
        raise InvalidArgument(f"options.{option}", variable, "the name of an environment variable that is set")
    return value


def secret_file(option: str, path: str) -> str:
    """What a file that an option names holds, without space around it. Raises InvalidArgument when it is not there."""
    try:
        value = Path(path).read_text().strip()
    except OSError as error:
        raise InvalidArgument(f"options.{option}", path, f"a file that can be read ({error.strerror})") from None
    if not value:
        raise InvalidArgument(f"options.{option}", path, "a file that is not empty")
    return value


def _field_of(kind: type[msgspec.Struct], name: str) -> tuple[str, type]:
    field = next(field for field in msgspec.structs.fields(kind) if field.name == name)
    return name, field.type
