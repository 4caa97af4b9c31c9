"""Names and ids as Pinecone takes them: ASCII, in the order of code points all the same.

``~`` and whatever comes after it are written as ``~`` and the six hexadecimal digits of the code point, with ``a`` to
``p`` for the digits: so no name ends with ``~`` and digits that did not, which a gateway in Pinecone's place keeps for
itself. ``~`` is the last printable character of ASCII, so names sort as before.

On an index that others filled names and ids are taken as they are (`Plain`): there ``~`` is any character.
"""

from __future__ import annotations

import re
from typing import Protocol

from tenantry.backends.common.tenant_field import MADE
from tenantry.errors import InvalidArgument

LONGEST = 512
_OTHERS = re.compile(r"[^\x01-\x7d]")
_SPELLED = re.compile(r"~([a-p]{6})")
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_DIGITS = str.maketrans("abcdefghijklmnop", "0123456789abcdef")


def _written(found: re.Match[str]) -> str:
    return "~" + f"{ord(found[0]):06x}".translate(_LETTERS)


class Spelling(Protocol):
    """Between names of Tenantry and of Pinecone."""

    def spelled(self, name: str, field: str) -> str:
        """The name in ASCII. Raises InvalidArgument."""

    def read(self, text: str) -> str:
        """The name that was `spelled`."""


class Ours:
    """Any name."""

    def spelled(self, name: str, field: str) -> str:
        """Raises InvalidArgument when it gets too long."""
        text = name if name.isascii() and "~" not in name else _OTHERS.sub(_written, name)
        if len(text) > LONGEST:
            raise InvalidArgument(
                field, name, f"at most {LONGEST} characters, each beyond ASCII counting as 7, on Pinecone"
            )
        return text

    def read(self, text: str) -> str:
        """Whatever it was."""
        return _SPELLED.sub(lambda found: chr(int(found[1].translate(_DIGITS), 16)), text) if "~" in text else text


class Plain:
    """Names that Pinecone takes, as they are; but for ids that `tenantry.backends.common.tenant_field` makes."""

    def __init__(self) -> None:
        self._ours = Ours()

    def spelled(self, name: str, field: str) -> str:
        """Raises InvalidArgument: beyond ASCII, or too long."""
        if name.startswith(MADE):
            return self._ours.spelled(name, field)
        if not takes(name):
            raise InvalidArgument(field, name, f"at most {LONGEST} characters of ASCII, on an index that was adopted")
        return name

    def read(self, text: str) -> str:
        """The same."""
        return self._ours.read(text) if text.startswith(MADE) else text


def takes(name: str) -> bool:
    """Whether Pinecone takes the name as it is."""
    return name.isascii() and "\0" not in name and len(name) <= LONGEST
