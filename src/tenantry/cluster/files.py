"""Files in and out, for applications: see `tenantry.files`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

from tenantry.errors import InvalidArgument
from tenantry.files.exporter import ExportReport, export
from tenantry.files.formats import Format, check_format
from tenantry.files.importer import MOST_REJECTS, Importer, ImportOptions, ImportReport, Refusal
from tenantry.files.reading import ReadOptions
from tenantry.files.sending import Objection, send_all
from tenantry.files.writing import Target, format_of
from tenantry.model.limits import Limits, batches
from tenantry.model.records import Record
from tenantry.model.topology import DEFAULT_INDEX
from tenantry.ports import TenantCatalog
from tenantry.router.listing import every_tenant
from tenantry.router.router import Router

PAGE = 500


class FileAdmin:
    """Records from files into tenants, and back."""

    def __init__(self, router: Router, tenants: TenantCatalog, limits: Limits) -> None:
        self._router, self._tenants, self._limits = router, tenants, limits

    async def read(
        self,
        *files: str | Path,
        rejects: str | Path,
        index: str = DEFAULT_INDEX,
        tenant: str | None = None,
        tenant_field: str | None = None,
        format: str = "auto",
        vector: str | None = None,
        document_field: str = ReadOptions().document_field,
        flatten: bool = False,
        max_rejects: int = MOST_REJECTS,
        resume: bool = False,
        dry_run: bool = False,
        advance: Callable[[int], None] = lambda size: None,
    ) -> ImportReport:
        """Write the records of files (and of those in folders) to the tenants that they belong to; tenants that are
        not there are made, if the index lets a first write do so.

        Everything is checked as a request is. What fails is not written, and goes to the file ``rejects``; with more
        than ``max_rejects`` of them it ends. When it is cut off, the same call with ``resume=True`` passes over what
        was written. See `ImportOptions`.

        Raises:
            InvalidArgument, NotFound, Refused: it cannot be done as asked; see `Importer`. Corrupt: a file is damaged.
            Unavailable: a shard is in trouble.
        """
        logical = await self._router.pool.index(index)
        options = ImportOptions(
            rejects=Path(rejects),
            tenant=tenant,
            tenant_field=tenant_field,
            format=check_format(format),
            read=ReadOptions(vector, document_field),
            flatten=flatten,
            max_rejects=max_rejects,
            resume=resume,
            dry_run=dry_run,
        )
        importer = Importer(
            [Path(file) for file in files],
            options,
            _Into(self._router, index, self._limits),
            dimension=logical.dimension,
            metric=logical.metric,
            limits=self._limits,
            advance=advance,
        )
        return await importer.run()

    async def write(
        self,
        to: str | Path,
        *,
        index: str = DEFAULT_INDEX,
        tenants: Sequence[str] | None = None,
        format: str = "auto",
        document_field: str = ReadOptions().document_field,
        replace: bool = False,
        advance: Callable[[int], None] = lambda count: None,
    ) -> ExportReport:
        """Write tenants, or all of an index, to a file or a folder; see `tenantry.files.exporter.export`."""
        await self._router.pool.index(index)
        if tenants is not None and not tenants:
            raise InvalidArgument("tenants", tenants, "at least one name, or None for all")
        found: Format = format_of(Path(to), check_format(format))
        many = tenants is None or len(tenants) > 1
        target = Target(Path(to), found, many, replace=replace, document_field=document_field)
        origin = _From(self._router, self._tenants, index, tenants)
        return await export(origin, target, str(to), advance, all=tenants is None)


class _Into:
    """Implements `tenantry.files.importer.Sink`."""

    def __init__(self, router: Router, index: str, limits: Limits) -> None:
        self._router, self._index, self._limits = router, index, limits

    async def write(self, tenant: str, records: Sequence[Record]) -> list[Refusal]:
        """Through the router, as any request."""

        def parts(some: Sequence[Record]) -> Iterator[list[Record]]:
            return batches(some, self._limits)

        async def send(batch: list[Record]) -> Objection | None:
            try:
                await self._router.upsert(self._index, tenant, batch)
            except InvalidArgument as error:
                return Objection(error.field, error)
            return None

        return await send_all(records, parts, send)


class _From:
    """Implements `tenantry.files.exporter.Origin`."""

    def __init__(self, router: Router, tenants: TenantCatalog, index: str, names: Sequence[str] | None) -> None:
        self._router, self._tenants, self._index = router, tenants, index
        self._names = names

    async def tenants(self) -> AsyncIterator[str]:
        """Those that were named, or all."""
        if self._names is not None:
            for name in sorted(set(self._names)):
                yield name
            return
        async for tenant in every_tenant(self._tenants, self._index):
            yield tenant.name

    async def pages(self, tenant: str) -> AsyncIterator[list[Record]]:
        """By the router's scan."""
        cursor: str | None = None
        while True:
            page = await self._router.scan(self._index, tenant, cursor, PAGE)
            yield page.records
            if page.cursor is None:
                return
            cursor = page.cursor
