"""Short texts that clients hand back: signed, and bound to what they were given for. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

MARK_BYTES = 16


def signed(payload: bytes, context: bytes, secret: bytes) -> str:
    """``base64url(mark + payload)``; the mark is a keyed BLAKE2b hash (RFC 7693) of payload and context.

    Anybody can read the payload, so it must hold nothing that its reader may not know.
    """
    return base64.urlsafe_b64encode(_mark(payload, context, secret) + payload).decode().rstrip("=")


def opened(text: object, context: bytes, secret: bytes, most_chars: int) -> bytes | None:
    """The payload of what `signed` made for this context; None for anything else, and for longer texts. The comparison
    takes the same time whatever is wrong."""
    if not isinstance(text, str) or not 0 < len(text) <= most_chars:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None
    payload = raw[MARK_BYTES:]
    return payload if hmac.compare_digest(raw[:MARK_BYTES], _mark(payload, context, secret)) else None


def _mark(payload: bytes, context: bytes, secret: bytes) -> bytes:
    hashed = hashlib.blake2b(key=secret, digest_size=MARK_BYTES)
    hashed.update(len(payload).to_bytes(8, "big") + payload + context)
    return hashed.digest()
