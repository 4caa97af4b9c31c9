"""Names of objects in archives."""

from __future__ import annotations

import re

from tenantry.errors import InvalidArgument

_NAME = re.compile(r"^[a-z0-9][A-Za-z0-9._-]*(/[a-z0-9][A-Za-z0-9._-]*)*$")


def check_name(name: str) -> str:
    """The name, when it is one that every kind of archive can hold. Raises InvalidArgument."""
    if not _NAME.match(name):
        raise InvalidArgument("name", name, "parts of letters, digits, '.', '_' and '-', joined by '/'")
    return name
