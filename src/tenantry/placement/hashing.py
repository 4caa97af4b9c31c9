"""The hash behind placement: MurmurHash3 (x64, 128 bits, seed 0, as two unsigned halves) of UTF-8 bytes.

It never depends on ``PYTHONHASHSEED``, the machine or the process, so every process places alike. Changing
it would change where new tenants go (not where existing ones are: the catalog has that).
"""

from __future__ import annotations

from mmh3 import mmh3_x64_128_utupledigest as hash128

#: Separates the parts of a hashed key; no name contains it.
SEPARATOR = b"\x00"

__all__ = ["SEPARATOR", "hash128"]
