"""Tables as others lay them out: what is read of them, what they take, what is refused."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from tenantry.backends.common.adopted import adopted
from tenantry.backends.common.collection import Collections
from tenantry.backends.common.tenant_field import FieldTenants
from tenantry.backends.pgvector import PgvectorOptions, of_shard
from tenantry.backends.pgvector.adopted import AdoptedPgvector
from tenantry.errors import InvalidArgument, NotFound, Refused, Unsupported
from tenantry.model.filters import matches, parse_filter
from tenantry.model.records import Everything, Metric, Query, Record, Update, as_vector
from tenantry.model.topology import LogicalIndex, Shard
from tenantry.testing.servers import PostgresServer

ZERO = as_vector([0.0, 0.0])
NAMED = str(uuid.UUID(int=7))


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    url = postgres_server.create_database()
    run(url, "CREATE EXTENSION vector")
    yield url
    postgres_server.drop_database(url)


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)


def rows(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


_opened: list[AdoptedPgvector] = []


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """Close what a test that failed left open: with its pool the event loop does not always end."""
    yield
    while _opened:
        await _opened.pop().aclose()


def opened(url: str, metric: Metric = Metric.EUCLIDEAN, **options: str) -> AdoptedPgvector:
    engine = AdoptedPgvector(url, 2, metric, PgvectorOptions(adopted=True, **options))
    _opened.append(engine)
    return engine


async def shared(url: str, table: str, field: str, **options: str) -> FieldTenants:
    engine = opened(url, collection=table, tenant_field=field, **options)
    await engine.probe()
    made = adopted(engine, table, field, "pgvector")
    assert isinstance(made, FieldTenants)
    return made


async def test_langchains_collections_are_tenants(database: str) -> None:
    run(
        database,
        "CREATE TABLE langchain_pg_collection (uuid uuid PRIMARY KEY, name varchar NOT NULL UNIQUE, cmetadata json)",
        "CREATE TABLE langchain_pg_embedding (id varchar PRIMARY KEY, collection_id uuid REFERENCES "
        "langchain_pg_collection (uuid) ON DELETE CASCADE, embedding vector, document varchar, cmetadata jsonb)",
        "CREATE INDEX ON langchain_pg_embedding USING gin (cmetadata jsonb_path_ops)",
        f"INSERT INTO langchain_pg_collection VALUES ('{NAMED}', 'docs', null)",
        f"""INSERT INTO langchain_pg_embedding VALUES ('a', '{NAMED}', '[1,0]', 'a text', '{{"page": 3, "x": null}}'),
        ('b', '{NAMED}', '[2,0]', 'more', null), ('c', null, '[3,0]', 'nobody''s', '{{"page": 3}}'),
        ('other', '{NAMED}', '[1,2,3]', 'of another model', '{{}}'), ('none', '{NAMED}', null, 'not yet', '{{}}')""",
    )
    tenants = await shared(database, "langchain_pg_embedding", "collection_id")
    assert await tenants.namespaces(None, 10) == [NAMED]
    docs = tenants.index(NAMED)
    found = await docs.fetch(["a", "b", "c", "other", "none"])
    assert {key: record.metadata for key, record in found.items()} == {
        "a": {"collection_id": NAMED, "document": "a text", "page": 3},
        "b": {"collection_id": NAMED, "document": "more"},
    }
    hits = await docs.query(Query(ZERO, 5, parse_filter({"x": {"$exists": False}, "document": {"$ne": "more"}})))
    assert [(hit.id, hit.score) for hit in hits] == [("a", -1.0)]
    before = rows(database, "SELECT * FROM langchain_pg_embedding WHERE id IN ('c', 'other', 'none') ORDER BY id")
    await docs.upsert([Record("a", as_vector([5, 0]), {"collection_id": NAMED, "page": "v"})])
    await docs.upsert([Record("other", as_vector([6, 0]), {"document": "mine"})])
    assert rows(database, "SELECT document, cmetadata FROM langchain_pg_embedding WHERE id = 'a'") == [
        (None, {"page": "v"})
    ]
    with pytest.raises(Refused, match="violates foreign key"):
        await tenants.index(str(uuid.UUID(int=8))).upsert([Record("x", as_vector([1, 1]))])
    await docs.delete(Everything())
    assert (
        rows(database, "SELECT * FROM langchain_pg_embedding WHERE id IN ('c', 'other', 'none') ORDER BY id") == before
    )
    assert (await tenants.stats()).vectors == 1
    await tenants.aclose()


async def test_a_tutorials_table_with_whole_numbers_as_tenants_and_ids(database: str) -> None:
    run(
        database,
        "CREATE TABLE items (id bigserial PRIMARY KEY, tenant_id bigint NOT NULL, content text, embedding vector(2), "
        "metadata jsonb, created_at timestamptz NOT NULL DEFAULT '2025-01-31 12:00:00.5+02', search tsvector "
        "GENERATED ALWAYS AS (to_tsvector('english', content)) STORED)",
        """INSERT INTO items (tenant_id, content, embedding, metadata) VALUES (7, 'one', '[1,0]', '{"content": "no"}'),
        (7, null, '[2,0]', '{"content": "kept here", "created_at": 1}'), (8, 'three', '[3,0]', null)""",
    )
    tenants = await shared(database, "public.items", "tenant_id")
    assert await tenants.namespaces(None, 10) == ["7", "8"]
    seven = tenants.index("7")
    at = {"tenant_id": 7, "created_at": "2025-01-31T10:00:00.5Z"}
    found = await seven.fetch(["1", "2", "3"])
    assert {key: one.metadata for key, one in found.items()} == {
        "1": {"content": "one", **at},
        "2": {"content": "kept here", **at},
    }
    await seven.upsert([Record("doc~1", as_vector([4, 0]), {"content": 5}), Record("3", as_vector([5, 0]))])
    await seven.upsert([Record("1", as_vector([6, 0]), {"tenant_id": "7", "n": 1})])
    found = await seven.fetch(["1", "3", "doc~1"])
    assert {key: one.metadata for key, one in found.items()} == {
        "1": {"tenant_id": "7", "n": 1},
        "3": None,
        "doc~1": {"content": 5},
    }
    assert rows(database, "SELECT tenant_id, embedding::text, content FROM items WHERE id > 0 ORDER BY id") == [
        (7, "[6,0]", None),
        (7, "[2,0]", None),
        (8, "[3,0]", "three"),
    ]
    assert [row[0] for row in rows(database, "SELECT tenant_id FROM items WHERE id < 0")] == [7, 7]
    condition = parse_filter({"created_at": {"$exists": False}, "tenant_id": {"$ne": 7}})
    assert {hit.id for hit in await seven.query(Query(ZERO, 5, condition))} == {"1", "3", "doc~1"}
    assert await seven.update(Update("1", set_metadata={"content": "back"}))
    assert rows(database, "SELECT content FROM items WHERE id = 1") == [("back",)]
    with pytest.raises(InvalidArgument, match=r"metadata\.tenant_id: got 'acme'.*a whole number.*'tenant_id' is int8"):
        await tenants.index("acme").upsert([Record("1", ZERO)])
    assert await tenants.index("acme").fetch(["1"]) == {}
    assert (await seven.list_ids(None, 10)).ids == ["1", "2", "3", "doc~1"]
    assert rows(database, "SELECT nextval('items_id_seq')") == [(4,)]
    await tenants.aclose()


async def test_llamaindexs_table_keeps_its_json(database: str) -> None:
    run(
        database,
        "CREATE TABLE data_x (id bigserial PRIMARY KEY, text varchar NOT NULL, metadata_ json, node_id varchar, "
        "embedding vector(2))",
        """INSERT INTO data_x (text, metadata_, node_id, embedding) VALUES
        ('t', '{"tenant": "acme", "deep": {"a": [1, 2]}}', 'n1', '[1,0]'), ('u', '{"tenant": 12}', 'n2', '[2,0]')""",
    )
    tenants = await shared(database, "data_x", "tenant")
    assert await tenants.namespaces(None, 10) == ["12", "acme"]
    acme = tenants.index("acme")
    assert (await acme.fetch(["1", "2"]))["1"].metadata == {
        "tenant": "acme",
        "deep": {"a": [1, 2]},
        "text": "t",
        "node_id": "n1",
    }
    await acme.upsert([Record("new", as_vector([1, 1]), {"text": "x", "tags": []})])
    assert (await acme.fetch(["new"]))["new"].metadata == {"text": "x", "tags": []}
    with pytest.raises(InvalidArgument, match=r"metadata\.text: got None.*in every record, since it is never null"):
        await acme.upsert([Record("new", as_vector([1, 1]), {"tags": []})])
    await tenants.aclose()


async def test_without_a_document_the_columns_are_all_there_is(database: str) -> None:
    run(
        database,
        "CREATE TABLE plain (id integer PRIMARY KEY, tenant text NOT NULL, n int, e vector(2))",
        "INSERT INTO plain VALUES (1, 'acme', 5, '[1,0]')",
    )
    tenants = await shared(database, "plain", "tenant")
    acme = tenants.index("acme")
    await acme.upsert([Record("1", as_vector([2, 0]), {"tenant": "acme", "n": 6})])
    assert rows(database, "SELECT n FROM plain") == [(6,)]
    with pytest.raises(InvalidArgument, match=r"metadata\.color: got 'red'.*takes no others: tenant, n"):
        await acme.upsert([Record("1", ZERO, {"tenant": "acme", "color": "red"})])
    with pytest.raises(InvalidArgument, match=r"metadata\.n: got 'six'.*a whole number that it holds \(column 'n'"):
        await acme.upsert([Record("1", ZERO, {"tenant": "acme", "n": "six"})])
    with pytest.raises(InvalidArgument, match="the tenant itself in each record's tenant field"):
        await acme.upsert([Record("1", ZERO, {"n": 6})])
    with pytest.raises(
        InvalidArgument, match=r"id: got .*whole number that it holds .column 'id' is int4. of table public"
    ):
        await acme.upsert([Record("2", ZERO, {"tenant": "acme"})])  # kept with a hash of the tenant in front
    condition = parse_filter({"absent": {"$exists": True}})
    assert await acme.query(Query(ZERO, 5, condition)) == []
    await tenants.aclose()


BASE = "CREATE TABLE t (id text PRIMARY KEY, v vector(2), w vector(2), a jsonb, b jsonb, n int, h halfvec(2))"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "several columns of vectors, name one by the option vector: v, w"),
        ({"vector": "v"}, "several columns of JSON, name one by the option metadata: a, b"),
        ({"vector": "x"}, "no column 'x', which the option vector names: id, v, w"),
        ({"vector": "h"}, "'h' is halfvec, not vector"),
        ({"vector": "v", "metadata": "n"}, "'n' is not of type jsonb or json"),
        ({"vector": "v", "metadata": "a", "id": "n"}, "'n' is no id"),
        ({"vector": "v", "metadata": "a", "tenant_field": "v"}, "column 'v' is the record's own; fields are: n"),
        ({"collection": "absent"}, "has no table 'absent' in schema 'public'"),
        ({"collection": "small"}, "'v' is vector\\(3\\), and the index has 2 dimensions"),
        ({"collection": "any"}, "vectors in 'v' have 3 dimensions, and the index has 2"),
        ({"collection": "keyless"}, "no primary key of one column; name a unique one by the option id"),
        ({"collection": "half"}, "no column of type vector"),
        ({"collection": "bare", "tenant_field": "tsv"}, "no column 'tsv' can be a field.*fields are: n"),
        ({"collection": "dated"}, "ids in 'id' are date; they can be int2, int4"),
    ],
)
async def test_what_cannot_be_told_is_refused(database: str, options: dict[str, str], said: str) -> None:
    run(
        database,
        BASE,
        "CREATE TABLE small (id text PRIMARY KEY, v vector(3))",
        "CREATE TABLE any (id text PRIMARY KEY, v vector)".replace("any", '"any"'),
        """INSERT INTO "any" VALUES ('a', '[1,2,3]')""",
        "CREATE TABLE keyless (id text, k int, v vector(2), PRIMARY KEY (id, k))",
        "CREATE TABLE half (id text PRIMARY KEY, v halfvec(2))",
        "CREATE TABLE bare (id text PRIMARY KEY, v vector(2), n int, tsv tsvector)",
        "CREATE TABLE dated (id date PRIMARY KEY, v vector(2))",
    )
    engine = opened(database, **{"collection": "t", "tenant_field": "customer"} | options)
    with pytest.raises(Refused, match=said):
        await engine.probe()
    await engine.aclose()


async def test_tables_of_the_schema_that_suit_are_tenants(database: str) -> None:
    run(
        database,
        "CREATE TABLE acme (id uuid PRIMARY KEY, e vector(2), note text)",
        """CREATE TABLE "Globex 2" (id int PRIMARY KEY, e vector)""",
        "CREATE TABLE words (id int PRIMARY KEY, word text)",
        "CREATE TABLE wide (id int PRIMARY KEY, e vector(3))",
        f"CREATE TABLE n_{'0' * 40} (id text PRIMARY KEY, vector vector(2), metadata jsonb)",
        "CREATE TABLE parts (id int PRIMARY KEY, e vector(2)) PARTITION BY RANGE (id)",
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)",
        f"INSERT INTO acme VALUES ('{NAMED}', '[1,0]', 'x')",
        "INSERT INTO parts VALUES (1, '[1,0]')",
    )
    shard = Collections(opened(database))
    await shard.probe()
    assert await shard.namespaces(None, 10) == ["Globex 2", "acme", "parts"]
    assert {name: each.vectors for name, each in (await shard.sizes()).items()} == {
        "Globex 2": 0,
        "acme": 1,
        "parts": 1,
    }
    acme = shard.index("acme")
    assert (await acme.fetch([NAMED, "x"]))[NAMED].metadata == {"note": "x"}
    with pytest.raises(InvalidArgument, match="id: got 'x'; allowed: a UUID in lower case"):
        await acme.upsert([Record("x", ZERO)])
    await shard.index("parts").upsert([Record("1", as_vector([2, 0])), Record("3", as_vector([3, 0]))])
    assert rows(database, "SELECT id FROM parts_1 ORDER BY id") == [(1,), (3,)]
    with pytest.raises(Refused, match="63 bytes at most"):
        await shard.create("é" * 32)
    with pytest.raises(NotFound):
        await shard.index("absent").fetch(["a"])
    run(database, "ALTER TABLE acme ADD later text", "UPDATE acme SET later = 'y'")
    fresh = Collections(opened(database))
    assert (await fresh.index("acme").fetch([NAMED]))[NAMED].metadata == {"note": "x", "later": "y"}
    await fresh.aclose()
    await shard.aclose()


async def test_rows_that_are_no_records_are_not_overwritten(database: str) -> None:
    run(
        database,
        "CREATE TABLE acme (id text PRIMARY KEY, e vector, note text)",
        "INSERT INTO acme VALUES ('a', '[1,0]', 'a'), ('other', '[1,2,3]', 'of another model'), ('none', null, 'b')",
    )
    shard = Collections(opened(database))
    index = shard.index("acme")
    for id in ("other", "none"):
        with pytest.raises(Refused, match=f"the row of id '{id}' is no record of this index"):
            await index.upsert([Record("new", as_vector([1, 1])), Record(id, as_vector([1, 1]))])
    assert (await index.list_ids(None, 10)).ids == ["a"]
    await index.delete(Everything())
    assert [row[0] for row in rows(database, "SELECT id FROM acme ORDER BY id")] == ["none", "other"]
    await shard.aclose()


async def test_a_key_that_stands_for_another_id_is_nobodys_way_in(database: str) -> None:
    run(
        database,
        "CREATE TABLE items (id bigint PRIMARY KEY, tenant text, e vector(2), m jsonb)",
    )
    tenants = await shared(database, "items", "tenant")
    acme = tenants.index("acme")
    await acme.upsert([Record("doc", as_vector([1, 0]), {"n": 1})])
    key = str(rows(database, "SELECT id FROM items")[0][0])
    assert await acme.fetch([key]) == {}
    await acme.upsert([Record(key, as_vector([2, 0]))])
    assert set(await acme.fetch([key, "doc"])) == {key, "doc"}
    table = Collections(opened(database)).index("items")
    with pytest.raises(Refused, match=f"the row of id '{key}'.*of another id with the same key"):
        await table.upsert([Record(key, ZERO)])
    assert rows(database, "SELECT count(*) FROM items") == [(2,)]
    await tenants.aclose()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"vector": "v"}, "options.vector: got 'v'; allowed: only with adopted=true"),
        ({"tenant_field": "x"}, "options.tenant_field: got 'x'; allowed: only with adopted=true"),
        ({"adopted": "true", "collection": "x"}, "options.tenant_field: got ''; allowed: both of collection"),
        ({"adopted": "maybe"}, "options.adopted: got 'maybe'"),
    ],
)
def test_options_that_do_not_go_together(given: dict[str, str], said: str) -> None:
    options = {"url": "postgresql://x@y/z", **given}
    with pytest.raises(InvalidArgument, match=said):
        of_shard(LogicalIndex("docs", 2), Shard("docs", "pg", "pgvector", options))


async def test_a_database_without_pgvector_stays_without(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database()
    engine = opened(url)
    with pytest.raises(Unsupported, match="has no pgvector"):
        await engine.probe()
    await engine.aclose()
    assert rows(url, "SELECT count(*) FROM pg_extension WHERE extname = 'vector'") == [(0,)]
    postgres_server.drop_database(url)


# ------------------------------------------------------------------------------ filters, against the reference

COLUMNS = {
    "txt": ("text", ["'red'", "'Red'", "'1'", "''", "'é'", "'2025-01-31'"]),
    "u": ("uuid", [f"'{NAMED}'", f"'{uuid.UUID(int=8)}'"]),
    "i2": ("smallint", ["0", "1", "-3"]),
    "i8": ("bigint", ["0", "1", "9007199254740993", "-9223372036854775808"]),
    "f4": ("real", ["1", "0.1", "'NaN'", "'Infinity'", "2.5"]),
    "f8": ("double precision", ["1", "0.1", "'-Infinity'", "1e300", "'NaN'"]),
    "num": ("numeric", ["1", "1.10", "2.5", "'NaN'", "9007199254740993", "1e-320", "1e309"]),
    "ok": ("boolean", ["true", "false"]),
    "day": ("date", ["'2025-01-31'", "'infinity'"]),
    "at": ("timestamptz", ["'2025-01-31 12:00:00+02'", "'2025-01-31 10:00:00.25Z'", "'-infinity'"]),
    "tags": ("text[]", ["'{}'", "'{a,b}'", "'{red}'", "'{a,null}'"]),
    'q"%s': ("varchar(9)", ["'red'", "'%s'"]),
}
DOCUMENTS = [
    *("null", '{"txt": "red", "i8": 1, "ok": true}', '{"x": null, "tags": ["red", 1]}', "[1]", '"red"'),
    *('{"x": 1.0, "i2": "1", "u": 5}', '{"x": true, "day": ["a"]}', '{"x": {"a": 1}, "f4": 1, "num": "1"}'),
]
VALUES: list[Any] = [
    *("red", "Red", "1", "", "é", NAMED, NAMED.upper(), "2025-01-31", "2025-01-31T10:00:00Z", "%s", "a", "x" * 20),
    *(0, 1, -3, 1.0, 0.1, 2.5, 1.1, 1e300, 9007199254740993, 9007199254740992, -(2**63), 10**18, True, False),
]


def some_filter(chance: random.Random, depth: int = 2) -> dict[str, Any]:
    if depth and chance.random() < 0.4:
        parts = [some_filter(chance, depth - 1) for _ in range(chance.randrange(1, 4))]
        return {chance.choice(["$and", "$or"]): parts}
    field = chance.choice([*COLUMNS, "x", "absent"])
    match chance.randrange(5):
        case 0:
            return {field: chance.choice(VALUES)}
        case 1:
            return {field: {chance.choice(["$eq", "$ne"]): chance.choice(VALUES)}}
        case 2:
            return {field: {chance.choice(["$in", "$nin"]): chance.sample(VALUES, chance.randrange(6))}}
        case 3:
            bounds = [each for each in VALUES if isinstance(each, int | float) and not isinstance(each, bool)]
            return {field: {chance.choice(["$gt", "$gte", "$lt", "$lte"]): chance.choice(bounds)}}
        case _:
            return {field: {"$exists": chance.random() < 0.5}}


@pytest.mark.parametrize("document", ["jsonb", "json", ""])
async def test_random_filters_mean_what_the_reference_says(database: str, document: str) -> None:
    chance = random.Random(5)
    names = {name: '"' + name.replace('"', '""') + '"' for name in COLUMNS}
    columns = ", ".join(f"{names[name]} {kind}" for name, (kind, _) in COLUMNS.items())
    made = f"at2 text NOT NULL DEFAULT 'red', {columns}" + (f", doc {document}" if document else "")
    run(database, "SET TimeZone = 'Asia/Tokyo'", f"CREATE TABLE t (id int PRIMARY KEY, e vector(2), {made})")
    with psycopg.connect(database) as connection:
        for i in range(200):
            given = ["null" if chance.random() < 0.4 else chance.choice(some) for _, some in COLUMNS.values()]
            into = [*names.values(), *["doc"] * bool(document)]
            given += [f"'{chance.choice(DOCUMENTS)}'"] * bool(document)
            connection.execute(
                f"INSERT INTO t (id, e, {', '.join(into)}) VALUES ({i}, '[{i + 1},1]', {', '.join(given)})"
            )
        connection.execute("CREATE INDEX ON t (txt)")
    table = opened(database).collection("t")
    ids = [str(i) for i in range(200)]
    metadata = await table.metadata_of(ids)
    assert set(metadata) == set(ids)
    told_apart = 0
    for _ in range(400):
        raw = some_filter(chance)
        condition = parse_filter(raw)
        assert condition is not None
        wanted = {id for id in ids if matches(condition, metadata[id])}
        told_apart += 0 < len(wanted) < 200
        assert set(await table.ids_where(condition)) == wanted, raw
    assert told_apart > 100
    await table._engine.aclose()


async def test_what_is_written_is_what_is_read(database: str) -> None:
    """Of any value in any column."""
    kinds = [kind for kind, _ in COLUMNS.values()] + ["numeric(5,2)", "numeric(3,-1)", "timestamp(1)", "varchar(3)[]"]
    columns = ", ".join(f"c{i} {kind}" for i, kind in enumerate(kinds))
    run(
        database,
        f"CREATE TABLE t (id varchar(40) PRIMARY KEY, e vector(2), {columns}, "
        "d int NOT NULL DEFAULT 1, s text NOT NULL DEFAULT 'x', m jsonb NOT NULL)",
    )
    table = opened(database).collection("t")
    chance = random.Random(9)
    more = [["a", "b"], [], ["toolong"], 1.005, 123.45, 120, 125, 10**15, 0.1 + 0.2, 16777217, "2025-01-31T10:00:00.5"]
    more += ["2025-01-31T10:00:00.55", "2025-1-31", "24:00", 5e-324, -0.0, 2**62 + 2**10, float(2**62 + 2**10), 1e308]
    fields = [f"c{i}" for i in range(len(kinds))] + ["d", "s", "free"]
    records = [
        Record(f"{'long' * (i % 2) * 12}{i}", as_vector([1, i]), {f: chance.choice(VALUES + more) for f in some})
        for i in range(400)
        if (some := chance.sample(fields, chance.randrange(1, len(fields)))) is not None
    ]
    await table.put(records)
    found = {record.id: record for record in await table.get([record.id for record in records])}
    for record in records:
        assert found[record.id].metadata == record.metadata
        assert np.array_equal(found[record.id].values, record.values)
        for name, value in (record.metadata or {}).items():
            assert isinstance((found[record.id].metadata or {})[name], bool) == isinstance(value, bool)
    for _ in range(150):
        field, value = chance.choice(fields), chance.choice([each for each in VALUES + more if each != []])
        op = chance.choice(["$eq", "$ne", "$exists"])
        raw = {
            field: {op: chance.random() < 0.5 if op == "$exists" else value[0] if isinstance(value, list) else value}
        }
        condition = parse_filter(raw)
        assert condition is not None
        wanted = {record.id for record in records if matches(condition, record.metadata)}
        assert set(await table.ids_where(condition)) == wanted, raw
    await table.put(records)
    assert await table.count() == len(records)
    await table._engine.aclose()
