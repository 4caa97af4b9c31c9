"""Pinecone's freshness headers.

Clients compare the number of their write with the number that a read reports: once the read's is at least the
write's, the read saw the write. Where the backend gives read-your-writes, every read that starts after a write's
acknowledgement sees it, so time is such a number: a write reports the microsecond of its acknowledgement, a read
the microsecond at which it started. A backend that is not read-your-writes has no such number to tell, and no
header is sent.
"""

from __future__ import annotations

from tenantry.gateway.table import Call

WRITE_HEADER = b"x-pinecone-request-lsn"
READ_HEADER = b"x-pinecone-max-indexed-lsn"


async def mark_write(call: Call, tenant: str) -> None:
    """Call once the write is acknowledged."""
    await _mark(call, tenant, WRITE_HEADER, call.lsn())


async def mark_read(call: Call, tenant: str, started: int) -> None:
    """Call with the `Call.lsn` of the moment before the read."""
    await _mark(call, tenant, READ_HEADER, started)


async def _mark(call: Call, tenant: str, header: bytes, number: int) -> None:
    router = call.cluster.router
    route = router.resolver.cached(call.index, tenant)
    if route is None:
        return
    backend = await router.pool.backend(call.index, route.place.shard)
    if backend.features.read_your_writes:
        call.headers.append((header, str(number).encode()))
