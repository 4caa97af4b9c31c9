"""Keys: what they are made of, how long they live, and how soon a change is seen."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from tenantry.cluster.keys import KeyAdmin
from tenantry.cluster.secrets import Pepper
from tenantry.errors import InvalidArgument, NotFound, Refused, Unauthenticated, Unavailable
from tenantry.model.events import KeyChanged, decode_event, encode_event
from tenantry.model.keys import ApiKey, Scope
from tenantry.model.topology import LogicalIndex
from tenantry.testing.clock import ManualClock
from tenantry.testing.memory_catalog import MemoryCatalog

PEPPER = "a pepper that only processes have"


class Ring:
    """Two processes on one catalog. `calls` lists what they asked of it."""

    def __init__(self, **changes: Any) -> None:
        self.calls: list[str] = []
        self.broken = False
        self.clock = ManualClock()
        self.catalog = MemoryCatalog(self._enter)
        self.one = KeyAdmin(self.catalog, self.clock, secrets.token_hex, **changes)
        self.two = KeyAdmin(self.catalog, self.clock, secrets.token_hex, **changes)

    async def _enter(self, name: str) -> None:
        self.calls.append(name)
        await asyncio.sleep(0)
        if self.broken:
            raise Unavailable("the catalog is away")


@pytest.fixture
async def ring() -> Ring:
    made = Ring()
    await made.catalog.indexes.create(LogicalIndex("default", 4))
    return made


async def refused(keys: KeyAdmin, secret: str) -> None:
    with pytest.raises(Unauthenticated, match="the API key is not valid"):
        await keys.authenticate(secret)


async def test_each_scope_is_bound_as_it_must_be(ring: Ring) -> None:
    made = [
        (await ring.one.create())[0],
        (await ring.one.create("acme"))[0],
        (await ring.one.create("acme", scope="tenant-read"))[0],
        (await ring.one.create(scope="operator"))[0],
        (await ring.one.create(scope="reader"))[0],
        (await ring.one.create(None, "default", scope="reader"))[0],
    ]
    assert [(key.scope, key.index, key.tenant) for key in made] == [
        (Scope.ADMIN, None, None),
        (Scope.TENANT, "default", "acme"),
        (Scope.TENANT_READ, "default", "acme"),
        (Scope.OPERATOR, None, None),
        (Scope.READER, None, None),
        (Scope.READER, "default", None),
    ]
    for wrong, field in (
        ({"scope": "root"}, "scope"),
        ({"scope": "tenant"}, "tenant"),
        ({"tenant": "a", "scope": "operator"}, "tenant"),
        ({"index": "default", "scope": "admin"}, "index"),
        ({"tenant": "a\x00"}, "tenant"),
        ({"label": "x" * 201}, "label"),
        ({"expires_in_s": float("nan")}, "expires_in_s"),
    ):
        with pytest.raises(InvalidArgument, match=f"^{field}:"):
            await ring.one.create(**wrong)
    with pytest.raises(NotFound):
        await ring.one.create("a", "nowhere")
    assert len(await ring.one.list()) == len(made)


async def test_a_revocation_is_seen_here_at_once_and_elsewhere_within_a_second(ring: Ring) -> None:
    key, secret = await ring.one.create("acme")
    for keys in (ring.one, ring.two):
        assert (await keys.authenticate(secret)).id == key.id
    await ring.one.revoke(key.id)
    await refused(ring.one, secret)
    ring.clock.advance(0.999)
    assert await ring.two.authenticate(secret), "in memory for a second"
    ring.clock.advance(0.001)
    await refused(ring.two, secret)


async def test_an_event_makes_it_seen_elsewhere_at_once(ring: Ring) -> None:
    ring.one.tell = lambda event: ring.two.hear(decode_event(encode_event(event)))  # type: ignore[arg-type]
    key, secret = await ring.one.create("acme")
    await ring.two.authenticate(secret)
    await ring.one.revoke(key.id)
    await refused(ring.two, secret)


async def test_a_look_up_that_began_before_a_revocation_is_not_kept(ring: Ring) -> None:
    """The answer was on its way when the event came: it may be given to who waited, not to those who come later."""
    key, secret = await ring.one.create("acme")
    asking = asyncio.create_task(ring.two.authenticate(secret))
    while "keys.get" not in ring.calls:
        await asyncio.sleep(0)
    await ring.catalog.keys.revoke(key.id, ring.clock.now())
    ring.two.hear(KeyChanged(key.id))
    await asyncio.gather(asking, return_exceptions=True)
    await refused(ring.two, secret)


async def test_many_requests_at_once_ask_the_catalog_once_a_second(ring: Ring) -> None:
    _, secret = await ring.one.create("acme")
    await ring.one.authenticate(secret)
    ring.clock.advance(1.0)
    ring.calls.clear()
    found = await asyncio.gather(*(ring.one.authenticate(secret) for _ in range(50)))
    assert len({key.id for key in found}) == 1
    assert ring.calls == ["keys.get"]


async def test_without_the_catalog_nobody_gets_in_unchecked(ring: Ring) -> None:
    _, secret = await ring.one.create("acme")
    await ring.one.authenticate(secret)
    ring.broken = True
    assert await ring.one.authenticate(secret), "it was read less than a second ago"
    ring.clock.advance(1.0)
    with pytest.raises(Unavailable):
        await ring.one.authenticate(secret)


async def test_a_rotated_key_works_on_for_the_overlap(ring: Ring) -> None:
    old, secret = await ring.one.create("acme", scope="tenant-read", label="shop", expires_in_s=1_000)
    ring.clock.advance(10)
    new, fresh = await ring.one.rotate(old.id, overlap_s=60)
    assert (new.scope, new.index, new.tenant, new.label) == (Scope.TENANT_READ, "default", "acme", "shop")
    assert new.expires_at == ring.clock.now() + 1_000, "as long as the old one was given"
    for one in (secret, fresh):
        assert await ring.one.authenticate(one)
    ring.clock.advance(60)
    await refused(ring.one, secret)
    assert (await ring.one.authenticate(fresh)).id == new.id
    with pytest.raises(Refused, match=f"replaced already, by '{new.id}'"):
        await ring.one.rotate(old.id)
    last, _ = await ring.one.rotate(new.id, expires_in_s=5)
    await refused(ring.one, fresh)
    assert last.expires_at == ring.clock.now() + 5
    for wrong in ({"overlap_s": -1}, {"overlap_s": float("nan")}, {"expires_in_s": 0}):
        with pytest.raises(InvalidArgument):
            await ring.one.rotate(last.id, **wrong)
    ring.clock.advance(5)
    with pytest.raises(Refused, match="at its end"):
        await ring.one.rotate(last.id)


async def test_keys_from_before_a_pepper_was_given_go_on(ring: Ring, caplog: pytest.LogCaptureFixture) -> None:
    _, before = await ring.one.create("acme")
    peppered = KeyAdmin(ring.catalog, ring.clock, secrets.token_hex, PEPPER)
    _, after = await peppered.create("acme")
    for secret in (before, after):
        assert await peppered.authenticate(secret)
    assert (await ring.one.authenticate(before)).tenant == "acme"
    assert not caplog.messages
    await refused(ring.one, after)  # this process was not given the pepper
    assert "was made with another TENANTRY_KEY_PEPPER" in caplog.text
    other = KeyAdmin(ring.catalog, ring.clock, secrets.token_hex, PEPPER + "!")
    await refused(other, after)
    assert await other.authenticate(before)


async def test_the_catalog_alone_does_not_make_a_peppered_digest(ring: Ring) -> None:
    peppered = KeyAdmin(ring.catalog, ring.clock, secrets.token_hex, PEPPER)
    key, secret = await peppered.create("acme")
    everything = repr(vars(ring.catalog.tables))
    assert secret.split("_")[2] not in everything
    assert PEPPER not in everything
    stored = Pepper(await ring.catalog.settings.get("keys.pepper"))
    assert stored.digest(secret.split("_")[2]) not in (key.digest, key.digest.rsplit(":", 1)[-1])


async def test_a_pepper_too_short_is_refused_before_any_key_is_made(ring: Ring) -> None:
    with pytest.raises(InvalidArgument, match="key_pepper: got '7 characters'"):
        await KeyAdmin(ring.catalog, ring.clock, secrets.token_hex, "pepper!").create("acme")
    assert await ring.one.list() == []


async def test_whatever_is_presented_is_refused_and_not_a_crash(ring: Ring) -> None:
    key, secret = await ring.one.create()
    for wrong in (
        *("", "tnk", "tnk_", "tnk__", "tnk_a", f"tnk_{key.id}_", f"tnk_{key.id}", secret + "_", secret.upper()),
        *("tnk_\x00_x", "tnk_\ud800_x", "tnk_é_é", secret[:-1], secret + "0", "tnk_" + "x" * 100_000 + "_y"),
        *(f"tnk_{key.id}' OR '1'='1_x", f"tnk_%_{secret.split('_')[2]}"),
    ):
        await refused(ring.one, wrong)
    assert await ring.one.authenticate(secret)


async def test_the_memory_of_keys_is_bounded(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenantry.cluster.keys.CACHE_MOST", 3)
    made = [(await ring.one.create())[1] for _ in range(10)]
    for secret in made:
        assert await ring.one.authenticate(secret)
        assert len(ring.one._recent) <= 3
    for number in range(100):
        await refused(ring.one, f"tnk_{number:012}_x")
    assert len(ring.one._recent) <= 3
    assert not ring.one._finding


def test_a_key_of_an_old_catalog_reads_and_writes() -> None:
    assert ApiKey("k", "d", Scope("tenant"), "default", "acme").usable(1.0)
