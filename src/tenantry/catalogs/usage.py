"""What tenants used, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tenantry.catalogs import schema
from tenantry.catalogs.store import Store
from tenantry.errors import InvalidArgument
from tenantry.model.usage import DAY_S, HOUR_S, Usage

_t = schema.usage
_s = schema.usage_sources
_SUMMED = ("queries", "reads", "writes", "vectors", "bytes")
_HIGHEST = ("vectors_stored", "bytes_stored")


class SqlUsage:
    """`tenantry.ports.UsageCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, source: str, part: int, rows: Sequence[Usage], at: float) -> bool:
        """One statement for all rows, in the order of their keys, so that processes cannot deadlock."""
        if part < 1:
            raise InvalidArgument("part", part, "1 or more")
        values = [_values(row) for row in sorted(rows, key=lambda row: (row.start, row.index, row.tenant))]
        _check_storable({"source": source})
        async with self._store.write() as connection:
            await self._store.insert_if_absent(connection, _s, {"source": source, "part": 0, "added_at": at})
            last = await connection.scalar(sa.select(_s.c.part).where(_s.c.source == source).with_for_update())
            if last is None or part <= last:
                return False
            await connection.execute(sa.update(_s).where(_s.c.source == source).values(part=part, added_at=at))
            if values:
                await connection.execute(self._added(), values)
        return True

    async def list(
        self,
        since: int,
        until: int,
        *,
        index: str | None = None,
        tenant: str | None = None,
        by_day: bool = False,
        after: tuple[int, str, str] | None = None,
        limit: int = 1_000,
    ) -> list[Usage]:
        """Summed in the database where it is by day."""
        if limit < 1:
            raise InvalidArgument("limit", limit, "1 or more")
        start: sa.ColumnElement[int] = (_t.c.start - _t.c.start % DAY_S) if by_day else _t.c.start
        start = start.label("period")
        columns = [sa.func.sum(_t.c[name]).label(name) for name in _SUMMED]
        columns += [sa.func.max(_t.c[name]).label(name) for name in _HIGHEST]
        query = sa.select(start, _t.c.index_name, _t.c.tenant, *columns).where(_t.c.start >= since, _t.c.start < until)
        if index is not None:
            query = query.where(_t.c.index_name == index)
        if tenant is not None:
            query = query.where(_t.c.tenant == tenant)
        if after is not None:
            # Said twice, so that the key of the table serves: a row by day never starts before its day does.
            query = query.where(_t.c.start >= after[0])
            query = query.where(sa.tuple_(start.element, _t.c.index_name, _t.c.tenant) > sa.tuple_(*after))
        query = query.group_by(start.element, _t.c.index_name, _t.c.tenant)
        query = query.order_by(start.element, _t.c.index_name, _t.c.tenant).limit(limit)
        async with self._store.read() as connection:
            found = (await connection.execute(query)).all()
        return [_usage(row) for row in found]

    async def forget(self, before: int) -> int:
        """Whole hours."""
        async with self._store.write() as connection:
            gone = sa.delete(_t).where(_t.c.start < before - before % HOUR_S)
            done = await connection.execute(gone.execution_options(preserve_rowcount=True))
            await connection.execute(sa.delete(_s).where(_s.c.added_at < before))
        return int(done.rowcount)

    def _added(self) -> Any:
        insert: Any = sqlite.insert if self._store.file else postgresql.insert
        new = insert(_t)
        changes: dict[str, Any] = {name: _t.c[name] + new.excluded[name] for name in _SUMMED}
        for name in _HIGHEST:
            mine, theirs = new.excluded[name], _t.c[name]
            kept = sa.or_(mine.is_(None), theirs >= mine)
            changes[name] = sa.case((kept, theirs), else_=mine)
        return new.on_conflict_do_update(index_elements=[_t.c.start, _t.c.index_name, _t.c.tenant], set_=changes)


def _values(row: Usage) -> dict[str, Any]:
    values = msgspec.structs.asdict(row)
    values["index_name"] = values.pop("index")
    _check_storable(values)
    return values


def _check_storable(values: dict[str, Any]) -> None:
    for column, value in values.items():
        if isinstance(value, str) and "\x00" in value:
            raise InvalidArgument(column, value, "text without NUL characters")


def _usage(row: sa.Row[Any]) -> Usage:
    most = (None if one is None else int(one) for one in (row.vectors_stored, row.bytes_stored))
    sums = (int(getattr(row, name)) for name in _SUMMED)
    return Usage(row.index_name, row.tenant, int(row.period), *sums, *most)
