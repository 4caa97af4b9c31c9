"""Order between writers of the same document in one process, without anybody waiting for an embedder."""

from __future__ import annotations

import asyncio


class Turn:
    """One writer's interest in one document; see `Turns`."""

    def __init__(self, turns: Turns, name: tuple[str, str, str], entry: Entry) -> None:
        self._turns = turns
        self._name = name
        self._entry: Entry | None = entry
        self._seen = entry.version
        self.lock = entry.lock

    @property
    def alone(self) -> bool:
        """Nobody else finished with the document since this turn began; ask while holding ``lock``."""
        return self._entry is not None and self._entry.version == self._seen

    def finished(self) -> None:
        """Tell other writers that the document changed; call while holding ``lock``."""
        if self._entry is not None:
            self._entry.version += 1

    def leave(self) -> None:
        """End the interest; safe to call twice."""
        if self._entry is not None:
            self._entry.writers -= 1
            if self._entry.writers == 0:
                self._turns.drop(self._name)
            self._entry = None


class Entry:
    """What is known of a document while it has writers."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.version = 0
        self.writers = 0


class Turns:
    """A writer takes its turn before it looks at a document, then embeds and writes with no lock held, and holds
    the document's lock only to remove what is stale. There it sees whether another writer finished in between,
    and looks again if so. Memory is held for documents that are being written at this moment, and no others."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str, str], Entry] = {}

    def take(self, index: str, tenant: str, key: str) -> Turn:
        """Begin to write a document."""
        name = (index, tenant, key)
        entry = self._entries.setdefault(name, Entry())
        entry.writers += 1
        return Turn(self, name, entry)

    def drop(self, name: tuple[str, str, str]) -> None:
        """Forget a document that nobody writes."""
        del self._entries[name]

    def __len__(self) -> int:
        return len(self._entries)
