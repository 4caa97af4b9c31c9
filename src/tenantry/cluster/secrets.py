"""How secrets of keys are hashed, and with what."""

from __future__ import annotations

import hashlib
import hmac

from tenantry.errors import InvalidArgument

PEPPER_LEAST_CHARS = 16
#: Begins digests that were made with the pepper of the settings; others were made with the stored one.
GIVEN = "given"


class Pepper:
    """The key of the hash. Two of them are known: a random one that the catalog keeps, and, when
    ``TENANTRY_KEY_PEPPER`` is set, one that it does not keep. New keys are hashed with the latter where there is one;
    which of the two, and a fingerprint of it, stands in the digest, so that keys from before go on working.

    A secret has 256 random bits, so a fast hash is enough: there is nothing to guess.

    Raises InvalidArgument for a given pepper of fewer than 16 characters.
    """

    def __init__(self, stored: str, given: str | None = None) -> None:
        if given is not None and len(given) < PEPPER_LEAST_CHARS:
            raise InvalidArgument("key_pepper", f"{len(given)} characters", f"{PEPPER_LEAST_CHARS} or more")
        self._stored = bytes.fromhex(stored)
        self._given = None if given is None else hashlib.blake2b(given.encode(), person=b"tenantry-pepper").digest()
        mark = b"" if self._given is None else self._given
        self._prefix = f"{GIVEN}:{hashlib.blake2b(mark, digest_size=4).hexdigest()}:"

    def digest(self, secret: str) -> str:
        """What is stored of a new key's secret."""
        if self._given is None:
            return _hashed(secret, self._stored)
        return self._prefix + _hashed(secret, self._given)

    def fits(self, secret: str, digest: str | None) -> bool:
        """Whether a secret is the one behind a stored digest, in constant time; None stands for a key that there is
        not, and takes as long."""
        key, prefix = self._stored, ""
        if self._given is not None and (digest is None or digest.startswith(self._prefix)):
            key, prefix = self._given, self._prefix
        found = prefix + _hashed(secret, key)
        return hmac.compare_digest(found.encode(), ("0" * len(found) if digest is None else digest).encode())

    def foreign(self, digest: str) -> bool:
        """Whether a digest was made with a pepper that is not known here, so that its key cannot be recognised."""
        return digest.startswith(GIVEN + ":") and (self._given is None or not digest.startswith(self._prefix))


def _hashed(secret: str, key: bytes) -> str:
    return hashlib.blake2b(secret.encode("utf-8", "surrogatepass"), key=key, digest_size=32).hexdigest()
