"""Bodies, query strings, tokens and keys, without a server."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.gateway.auth import is_loopback
from tenantry.gateway.body import Disconnected, decode_json, decode_query, decode_segment, read_body
from tenantry.gateway.errors import BadRequest, BodyTooLarge
from tenantry.gateway.serve import bind, url_of
from tenantry.gateway.vectors import pinecone_score, to_vector
from tenantry.model.records import Metric


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    values: list[float]


class Outer(msgspec.Struct):
    inner: list[Inner]
    top_k: int = 10


class Params(msgspec.Struct):
    ids: list[str] = []
    limit: int = 5
    name: str = ""


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "inner"),
        (b'{"inner": [{"values": [1, "a"]}]}', "inner[0].values[1]"),
        (b'{"inner": [{}]}', "inner[0].values"),
        (b'{"inner": [{"values": [], "x": 1}]}', "inner[0].x"),
        (b'{"inner": [], "top_k": 1.5}', "top_k"),
        (b"[]", None),
        (b"nope", None),
    ],
)
def test_errors_name_the_field(body: bytes, field: str | None) -> None:
    with pytest.raises(BadRequest) as wrong:
        decode_json(msgspec.json.Decoder(Outer), body)
    assert wrong.value.field == field
    assert "`" not in str(wrong.value)
    assert "$" not in str(wrong.value)


def test_query_strings() -> None:
    assert decode_query(Params, b"ids=a&ids=b%20c&limit=7&name=%C3%BC&unknown=1") == Params(["a", "b c"], 7, "ü")
    assert decode_query(Params, b"") == Params()
    for raw in (
        b"limit=1&limit=2",
        b"limit=x",
        b"name=%ff",
        b"name=\xff",
        b"&".join([b"a=1"] * 5_000),
        b"n=" + b"x" * 300_000,
    ):
        with pytest.raises(BadRequest):
            decode_query(Params, raw)


@given(st.text())
def test_segments_come_back_as_they_were(name: str) -> None:
    from urllib.parse import quote

    try:
        raw = quote(name, safe="")
    except UnicodeEncodeError:
        return
    assert decode_segment(raw, "tenant") == name


async def body_of(*chunks: bytes | None, most: int) -> tuple[bytes, int]:
    """The body in these chunks (None: the client goes away), and how many were read."""
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        chunk = waiting.pop(0)
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    try:
        return await read_body({}, receive, most), len(chunks) - len(waiting)
    except BodyTooLarge:
        return b"too large", len(chunks) - len(waiting)


async def test_bodies_are_bounded_while_they_are_read() -> None:
    assert await body_of(b"abc", most=3) == (b"abc", 1)
    assert await body_of(b"a", b"b", b"", b"c", most=3) == (b"abc", 4)
    assert await body_of(b"abcd", most=3) == (b"too large", 1)
    assert await body_of(b"ab", b"cd", b"ef", most=3) == (b"too large", 3), "the rest is read and thrown away"
    assert (await body_of(*[b"x" * 2**20] * 100, most=3))[1] <= 33, "but not without end"
    with pytest.raises(Disconnected):
        await body_of(b"ab", None, most=3)


def test_vectors_and_scores() -> None:
    assert to_vector([1.0, 2.5]).dtype == np.float32
    assert to_vector([1e39, -1e39]).tolist() == [float("inf"), float("-inf")]
    assert to_vector([]).shape == (0,)
    assert pinecone_score(-4.0, Metric.EUCLIDEAN) == 4.0
    assert str(pinecone_score(-0.0, Metric.EUCLIDEAN)) == "0.0"
    assert pinecone_score(0.5, Metric.COSINE) == 0.5


def test_addresses() -> None:
    assert all(is_loopback(one) for one in ("127.0.0.1", "127.8.8.8", "localhost", "a.localhost", "::1"))
    assert not any(
        is_loopback(one) for one in ("0.0.0.0", "", "10.0.0.1", "127.evil.example", "localhost.evil.example")
    )
    with bind("127.0.0.1", 0, loopback_only=True) as listener:
        port = listener.getsockname()[1]
        assert url_of("127.0.0.1", listener) == f"http://127.0.0.1:{port}"
        assert url_of("0.0.0.0", listener) == f"http://127.0.0.1:{port}"
        assert url_of("::1", listener) == f"http://[::1]:{port}"
