"""Cut a text into chunks: pure, and the same text always gives the same chunks."""

from __future__ import annotations

import re

from tenantry.errors import InvalidArgument

CHUNK_CHARS = 1_000
OVERLAP_CHARS = 100
#: Where a sentence ends: the mark, closing quotes or brackets, then space; CJK marks need no space.
_SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？]+")
_SPACE = re.compile(r"\s+")


def chunk_text(text: str, size: int = CHUNK_CHARS, overlap: int = OVERLAP_CHARS) -> list[str]:
    """The text in pieces of at most ``size`` characters, in order.

    A piece ends at the last paragraph end in the second half of its room; else at the last sentence end, line
    end or white space there; else, in the middle of a word. The next piece begins up to ``overlap`` characters
    earlier, at the start of a word where there is one, so that what stands at a cut is whole in one of the two.

    Every character of the text is in some piece. Pieces depend on what stands before their end only, so
    appending to a text leaves all of its pieces but the last as they were.

    Raises:
        InvalidArgument: ``size`` below 2, or ``overlap`` not within 0 to half of ``size``.
    """
    if size < 2:
        raise InvalidArgument("size", size, "2 characters or more")
    if not 0 <= overlap <= size // 2:
        raise InvalidArgument("overlap", overlap, f"0 to {size // 2}, half of the size of a chunk")
    pieces: list[str] = []
    start = 0
    while len(text) - start > size:
        end = _end(text, start + size // 2, start + size)
        pieces.append(text[start:end])
        start = _restart(text, end - overlap, end)
    pieces.append(text[start:])
    return pieces


def _end(text: str, least: int, most: int) -> int:
    """The best place to cut in ``(least, most]``: after the separator, which stays with what it ends."""
    paragraph = text.rfind("\n\n", least, most)
    if paragraph >= 0:
        return paragraph + 2
    for pattern in (_SENTENCE, None, _SPACE):
        if pattern is None:
            line = text.rfind("\n", least, most)
            if line >= 0:
                return line + 1
            continue
        last = 0
        for found in pattern.finditer(text, least, most):
            last = found.end()
        if last:
            return last
    return most


def _restart(text: str, least: int, end: int) -> int:
    """Start of the first word in ``[least, end)``; ``least`` itself when that is one, or when there is none."""
    if least >= end or text[least - 1].isspace():
        return least
    space = _SPACE.search(text, least, end)
    return space.end() if space is not None else least
