"""``tenantry import`` and ``tenantry export``: records in files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli.command import Session, command
from tenantry.cli.failures import ExitCode, Failure, from_error, usage
from tenantry.errors import TenantryError

if TYPE_CHECKING:
    from tenantry.files.importer import Importer, ImportReport, Refusal
    from tenantry.files.sending import Objection
    from tenantry.model.records import Record

PANEL = "Bring data in, keep it safe"
#: Records and bytes of a request, as for ``upsert``.
BATCH_MOST = 1_000
BATCH_BYTES = 2_000_000
PAGE = 1_000
#: Ids that one request fetches, so that an answer with 20,000 numbers each stays below 100 MB.
FETCH_MOST = 200
TENANTS_SHOWN = 50
RETRIES = 6
FIRST_PAUSE_S = 0.5
MOST_REJECTS = 1_000
DOCUMENT_FIELD = "document"
#: Errors of one record, not of the request.
BLAMING = ("INVALID_ARGUMENT", "TOO_LARGE")

FormatOption = Annotated[
    str, typer.Option("--format", metavar="NAME", help="auto, parquet, jsonl, pinecone, qdrant or chroma.")
]
DocumentField = Annotated[
    str, typer.Option("--document-field", metavar="NAME", help="Metadata field that stands for Chroma's documents.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(
        app,
        "import",
        examples=[
            "tenantry import vectors.jsonl.gz --tenant acme",
            "tenantry import dump/ --tenant-field customer --rejects bad.jsonl --dry-run",
            "tenantry import scroll.json --tenant acme --resume",
        ],
        panel=PANEL,
    )(import_files)
    command(
        app,
        "export",
        examples=[
            "tenantry export --tenant acme --to acme.parquet",
            "tenantry export --all --to everything.jsonl.gz",
            "tenantry export --all --to namespaces/ --format pinecone",
        ],
        panel=PANEL,
    )(export)


async def import_files(
    session: Session,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files, or folders with files.")],
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Whose the records are.")] = None,
    tenant_field: Annotated[
        str | None,
        typer.Option("--tenant-field", metavar="NAME", help="Field of a record, or of its metadata, that says whose."),
    ] = None,
    format: FormatOption = "auto",
    rejects: Annotated[
        Path | None,
        typer.Option("--rejects", metavar="FILE", help="Where records go that are not taken; FIRST.rejects.jsonl."),
    ] = None,
    max_rejects: Annotated[
        int, typer.Option("--max-rejects", metavar="N", min=0, help="Stop after more rejects than this.")
    ] = MOST_REJECTS,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an import was interrupted.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, write nothing.")] = False,
    vector: Annotated[
        str | None, typer.Option("--vector", metavar="NAME", help="Which of the named vectors of Qdrant's points.")
    ] = None,
    document_field: DocumentField = DOCUMENT_FIELD,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Metadata within metadata become fields outer.inner.")
    ] = False,
) -> None:
    """Write the records of files: Parquet, JSON lines, and what Pinecone, Qdrant and Chroma give out.

    Every record is checked; one that is not taken goes to the file of rejects with its row, the field and the reason,
    and the others are written. The exit code is 4 then. An import that was interrupted goes on with --resume: what was
    acknowledged is passed over. Whose a record is, is told by --tenant, by --tenant-field, or by the file: its field
    tenant or namespace, the folder of a Parquet file, the name of a Qdrant or Chroma file in a folder.
    """
    from tenantry.files.formats import check_format
    from tenantry.files.importer import Importer, ImportOptions
    from tenantry.files.reading import ReadOptions
    from tenantry.model.limits import Limits
    from tenantry.model.records import Metric

    about = await session.api.get(*session.path())
    options = ImportOptions(
        rejects=rejects or Path(f"{files[0].name or 'import'}.rejects.jsonl"),
        tenant=tenant,
        tenant_field=tenant_field,
        format=check_format(format),
        read=ReadOptions(vector, document_field),
        flatten=flatten,
        max_rejects=max_rejects,
        resume=resume,
        dry_run=dry_run,
    )
    with session.out.progress("check" if dry_run else "import", None, as_bytes=True) as bar:
        importer = Importer(
            files,
            options,
            _Gateway(session),
            dimension=about["dimension"],
            metric=Metric(about["metric"]),
            limits=Limits(),
            advance=bar.advance,
        )
        bar.of(importer.total_bytes)
        try:
            report = await importer.run()
        except Failure as failure:
            raise _resumable(failure, importer) from failure
        except TenantryError as error:
            raise _resumable(from_error(error), importer) from error
    _show(session, report)


def _resumable(failure: Failure, importer: Importer) -> Failure:
    """Says how much is written, and how to go on."""
    if importer.dry_run or not importer.state_file.exists():
        return failure
    done = f"{importer.written:,} records are written; the same command with --resume goes on"
    hint = f"{failure.hint}; {done}" if failure.hint else done
    return Failure(failure.message, hint, failure.exit_code, code=failure.code, field=failure.field)


def _show(session: Session, report: ImportReport) -> None:
    import msgspec

    from tenantry.cli.output import many, table

    document = msgspec.to_builtins(report)
    verb = "would be written" if report.dry_run else "written"
    rows = [(name, count) for name, count in list(report.tenants.items())[:TENANTS_SHOWN]]
    said = f"{many(report.written, 'record')} of {many(report.rows, 'row')} {verb}, {report.rejected:,} rejected"
    if len(report.tenants) > TENANTS_SHOWN:
        said += f", over {len(report.tenants):,} tenants of which {TENANTS_SHOWN} are shown"
    session.out.show(document, table(("tenant", ">records"), rows, empty="no records"), said)
    if report.resumed_after:
        session.out.say(f"{report.resumed_after:,} of the rows were done with before")
    if not report.all_compared:
        session.out.warn("there are more ids than are remembered: not all were compared to find those that come twice")
    if report.rejected:
        for reason, count in report.reasons:
            session.out.warn(f"{reason}" + (f" (and {count - 1:,} more of the kind)" if count > 1 else ""))
        if report.rejects is not None:
            session.out.say(f"what was rejected is in {report.rejects}")
        raise typer.Exit(ExitCode.FOUND_PROBLEMS)


async def export(
    session: Session,
    *,
    to: Annotated[Path, typer.Option("--to", metavar="PATH", help="The file, or the folder, to write.")],
    tenant: Annotated[
        list[str] | None, typer.Option("--tenant", metavar="NAME", help="A tenant; may be given more than once.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every tenant of the index.")] = False,
    format: FormatOption = "auto",
    document_field: DocumentField = DOCUMENT_FIELD,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite files that are there.")] = False,
) -> None:
    """Write tenants into files: Parquet, JSON lines, or what Pinecone, Qdrant and Chroma read.

    Several tenants go into one file of Parquet or JSON lines, with a field tenant; for the others a folder gets a file
    of each tenant. A file is there whole or not at all. Records that are written meanwhile may be in it or not: a
    picture of one moment is a backup.
    """
    from tenantry.cli.output import many, table
    from tenantry.files.exporter import export as write
    from tenantry.files.formats import check_format
    from tenantry.files.writing import Target, format_of

    if bool(tenant) == all:
        raise usage("say what to export: --tenant NAME, or --all")
    found = format_of(to, check_format(format))
    target = Target(to, found, all or len(set(tenant or ())) > 1, replace=replace, document_field=document_field)
    with session.out.progress("export", None) as bar:
        report = await write(_Origin(session, tenant), target, str(to), bar.advance, all=all)
    import msgspec

    rows = list(report.tenants.items())
    session.out.show(
        msgspec.to_builtins(report),
        table(("tenant", ">records"), rows[:TENANTS_SHOWN], empty="no tenants"),
        f"{many(report.records, 'record')} of {many(len(rows), 'tenant')} in {many(report.files, 'file')}: {to}",
    )
    for name, why in report.left_out.items():
        session.out.warn(f"tenant {name} is left out: {why}")
    if report.left_out:
        raise typer.Exit(ExitCode.FOUND_PROBLEMS)


class _Gateway:
    """Implements `tenantry.files.importer.Sink` with the native API."""

    def __init__(self, session: Session) -> None:
        from tenantry.clock import SystemClock

        self._session, self._clock = session, SystemClock()

    async def write(self, tenant: str, records: Sequence[Record]) -> list[Refusal]:
        """In requests within the limits of the gateway."""
        from tenantry.files.sending import send_all

        return await send_all(records, _batches, lambda batch: self._send(tenant, batch))

    async def _send(self, tenant: str, batch: list[Record]) -> Objection | None:
        from tenantry.files.sending import Objection

        body = b'{"records":[%s]}' % b",".join(map(_encoded, batch))
        pause_s = FIRST_PAUSE_S
        for left in reversed(range(RETRIES)):
            try:
                await self._session.api.post(*self._session.tenant(tenant, "upsert"), body=body)
            except Failure as failure:
                if failure.code in BLAMING and failure.field:
                    return Objection(failure.field, failure)
                if failure.exit_code is not ExitCode.UNAVAILABLE or failure.code == "LOCKED" or not left:
                    raise
            else:
                return None
            await self._clock.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("the last attempt returns or raises")


def _encoded(record: Record) -> bytes:
    import msgspec

    found: dict[str, Any] = {"id": record.id, "values": record.values.tolist()}
    if record.metadata:
        found["metadata"] = record.metadata
    return msgspec.json.encode(found)


def _batches(records: Sequence[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in records:
        more = len(_encoded(record)) + 1
        if batch and (len(batch) == BATCH_MOST or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += more
    if batch:
        yield batch


class _Origin:
    """Implements `tenantry.files.exporter.Origin` with the native API."""

    def __init__(self, session: Session, names: Sequence[str] | None) -> None:
        self._session, self._names = session, names

    async def tenants(self) -> AsyncIterator[str]:
        """Those that were named, or all."""
        if self._names:
            for name in sorted(set(self._names)):
                yield name
            return
        after: str | None = None
        while True:
            page = await self._session.api.get(*self._session.path("tenants"), after=after, limit=PAGE)
            for one in page["tenants"]:
                yield one["name"]
            after = page["next"]
            if after is None:
                return

    async def pages(self, tenant: str) -> AsyncIterator[list[Record]]:
        """Ids page by page, and the records of each."""
        from tenantry.errors import Refused

        cursor: str | None = None
        first = True
        while True:
            try:
                page = await self._session.api.get(*self._session.tenant(tenant, "ids"), cursor=cursor, limit=PAGE)
            except Failure as failure:
                if self._names or not first or failure.code not in ("NOT_FOUND", "FAILED_PRECONDITION"):
                    raise
                raise Refused(failure.message) from failure
            first = False
            for start in range(0, len(page["ids"]), FETCH_MOST):
                yield await self._fetched(tenant, page["ids"][start : start + FETCH_MOST])
            cursor = page["cursor"]
            if cursor is None:
                return

    async def _fetched(self, tenant: str, ids: list[str]) -> list[Record]:
        from tenantry.model.records import Record, as_vector

        answer = await self._session.api.post(*self._session.tenant(tenant, "fetch"), body={"ids": ids})
        return [Record(one["id"], as_vector(one["values"]), one["metadata"]) for one in answer["records"]]
