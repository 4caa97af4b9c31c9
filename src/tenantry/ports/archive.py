"""Where backups are kept: objects by name, written once and never changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec


class Stored(msgspec.Struct, frozen=True):
    """An object that an archive holds: its name, and its length in bytes."""

    name: str
    size: int


class Archive(Protocol):
    """A folder, a bucket: names are parts of ``a-z 0-9 . - _``, joined by ``/``. Every call may be repeated.

    All raise Unavailable (not reached), StorageFailed (no room, not writable), PermissionDenied.
    """

    @property
    def where(self) -> str:
        """As people know it; never holds a secret."""

    async def put(self, name: str, data: bytes | memoryview) -> bool:
        """Store an object whole, or not at all; False, and nothing is changed, when there is one of that name."""

    async def get(self, name: str) -> bytes:
        """Raises NotFound (kind ``object``)."""

    def list(self, prefix: str) -> AsyncIterator[Stored]:
        """The objects whose names begin so, in no particular order; never one that is half written."""

    async def delete(self, name: str) -> None:
        """Not there is success."""

    async def flush(self) -> None:
        """Everything stored before this call is durable when it returns."""

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""
