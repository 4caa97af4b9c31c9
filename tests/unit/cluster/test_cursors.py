"""Cursors: what comes back, and what is refused."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.cluster.cursors import Cursors
from tenantry.errors import InvalidArgument
from tenantry.router.secret import ClusterSecret
from tenantry.testing.memory_catalog import MemoryCatalog

CURSORS = Cursors(ClusterSecret(MemoryCatalog().settings, secrets.token_hex))
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, st.lists(TEXT), st.lists(TEXT))
def test_a_cursor_is_good_for_its_own_listing_only(place: str, listing: list[str], other: list[str]) -> None:
    async def check() -> None:
        cursor = await CURSORS.make(place, *listing)
        assert await CURSORS.read(cursor, *listing) == place
        if other != listing:
            with pytest.raises(InvalidArgument, match="cursor: got one of another listing"):
                await CURSORS.read(cursor, *other)

    asyncio.run(check())


async def test_names_cannot_be_shifted_into_each_other() -> None:
    cursor = await CURSORS.make("p", "ids", "default", "ab", "c")
    for listing in (("ids", "default", "a", "bc"), ("ids", "default", "ab", "c", ""), ("ids", "default\x00ab", "c")):
        with pytest.raises(InvalidArgument):
            await CURSORS.read(cursor, *listing)


@given(st.one_of(st.text(min_size=1), st.binary(min_size=1).map(lambda raw: raw.hex())))
def test_whatever_else_is_refused_with_the_field_s_name(text: str) -> None:
    with pytest.raises(InvalidArgument, match="paginationToken: got"):
        asyncio.run(CURSORS.read(text, "ids", "index", "tenant", "", field="paginationToken"))


async def test_no_cursor_is_the_beginning() -> None:
    assert (await CURSORS.read("", "ids"), await CURSORS.read(None, "ids")) == (None, None)


async def test_every_bit_counts() -> None:
    cursor = await CURSORS.make("place", "ids")
    for i in range(len(cursor)):
        for other in "AZaz09-_":
            forged = cursor[:i] + other + cursor[i + 1 :]
            try:
                place = await CURSORS.read(forged, "ids")
            except InvalidArgument:
                continue
            assert place == "place", forged  # base64's last character has bits to spare


async def test_gateways_of_one_cluster_take_each_other_s_and_no_stranger_s() -> None:
    catalog = MemoryCatalog()
    one, two = (Cursors(ClusterSecret(catalog.settings, secrets.token_hex)) for _ in range(2))
    assert await two.read(await one.make("p", "ids"), "ids") == "p"
    with pytest.raises(InvalidArgument):
        await CURSORS.read(await one.make("p", "ids"), "ids")
