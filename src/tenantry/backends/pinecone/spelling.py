"""Names and ids as Pinecone takes them: ASCII, in the order of code points all the same.

``~`` and whatever comes after it are written as ``~`` and the six hexadecimal digits of the code point, with ``a`` to
``p`` for the digits: so no name ends with ``~`` and digits that did not, which a gateway in Pinecone's place keeps for
itself. ``~`` is the last printable character of ASCII, so names sort as before.
"""

from __future__ import annotations

import re

from tenantry.errors import InvalidArgument

LONGEST = 512
_OTHERS = re.compile(r"[^\x01-\x7d]")
_SPELLED = re.compile(r"~([a-p]{6})")
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_DIGITS = str.maketrans("abcdefghijklmnop", "0123456789abcdef")


def _written(found: re.Match[str]) -> str:
    return "~" + f"{ord(found[0]):06x}".translate(_LETTERS)


def spelled(name: str, field: str) -> str:
    """The name in ASCII. Raises InvalidArgument when it gets too long."""
    text = name if name.isascii() and "~" not in name else _OTHERS.sub(_written, name)
    if len(text) > LONGEST:
        raise InvalidArgument(
            field, name, f"at most {LONGEST} characters, each beyond ASCII counting as 7, on Pinecone"
        )
    return text


def read(text: str) -> str:
    """The name that was `spelled`."""
    return _SPELLED.sub(lambda found: chr(int(found[1].translate(_DIGITS), 16)), text) if "~" in text else text
