"""Serves the dashboard's files: one route each, made when the gateway starts, so no path leads anywhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tenantry.gateway.table import Access, Answer, Call, Endpoint, Face

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"
#: Stands in the page where the folder of all other files comes.
BASE = b"{base}"
MEDIA_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".mjs": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}
#: Nothing but the gateway's own files, and requests to nobody but it; no frames, no forms, no inline code or style.
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
NEVER_CHANGES = (b"cache-control", b"public, max-age=31536000, immutable")
ASK_AGAIN = (b"cache-control", b"no-cache")


def files() -> dict[str, bytes]:
    """Path within the folder to content, of all that the page is made of."""
    found = (path for path in sorted(STATIC.rglob("*")) if path.suffix in MEDIA_TYPES)
    return {path.relative_to(STATIC).as_posix(): path.read_bytes() for path in found}


def routes(face: Face) -> list[Endpoint]:
    """The page at ``/``, and everything else in a folder that is named after its content, so that browsers may keep it
    for good and never mix two versions. None of it needs a key: there is nothing in it."""
    contents = files()
    base = f"/dashboard/{_digest(contents)}"
    page = contents.pop(INDEX).replace(BASE, base.encode())
    get = partial(
        Endpoint, face=face, method="GET", access=Access.PUBLIC, documented=False, summary="Show the web dashboard"
    )
    return [
        get(path="/", handle=_answer(page, MEDIA_TYPES[".html"], ASK_AGAIN)),
        *(
            get(path=f"{base}/{name}", handle=_answer(body, MEDIA_TYPES[Path(name).suffix], NEVER_CHANGES))
            for name, body in contents.items()
        ),
    ]


def _digest(contents: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, body in contents.items():
        whole.update(b"%d %s %d " % (len(name), name.encode(), len(body)))
        whole.update(body)
    return whole.hexdigest()[:12]


def _answer(body: bytes, media_type: bytes, caching: tuple[bytes, bytes]) -> Callable[[Call, Any], Awaitable[Answer]]:
    answer = Answer(body, media_type)

    async def handle(call: Call, _: Any) -> Answer:
        call.headers += [*HEADERS, caching]
        return answer

    return handle
