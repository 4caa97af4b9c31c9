"""Recording what is done, whoever asks for it: the gateway, the command line or a program that uses the library.

Who changes the cluster is recorded twice: before (``begun``; when that fails nothing is done and the caller gets the
error) and after (``ok`` or the error's code). When the second fails, which is tried a few times, the deed has happened
all the same and its caller is told so: the first entry stands, without an outcome, and the log has the second in full.
Who searches across tenants is recorded once, after the search and before its answer: no record, no answer.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import msgspec

from tenantry.cluster.audit import Audit
from tenantry.errors import TenantryError
from tenantry.model.audit import BEGUN, OK, Deed
from tenantry.ports import Clock
from tenantry.router.scatter import Scatter, ScatterResult

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

log = logging.getLogger(__name__)

LIBRARY = "library"
#: How often, and after what pause, the entry of an outcome is tried, seconds.
TRIES = 3
PAUSE_S = 0.2
#: Of a list of names, so many are written down.
NAMES_MOST = 20


class Deeds:
    """Records for one process."""

    def __init__(self, audit: Audit, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._left: set[asyncio.Task[None]] = set()

    async def change(self, deed: Deed, work: Callable[[], Awaitable[R]]) -> R:
        """Do something that changes the cluster. Raises Unavailable, StorageFailed when it cannot be recorded: then it
        is not done."""
        await self._audit.record(msgspec.structs.replace(deed, result=BEGUN))
        notes, result = dict[str, Any](), "cancelled"
        token = _doing.set(notes)
        try:
            done = await work()
            result = OK
        except TenantryError as error:
            result = error.code
            raise
        except Exception:
            result = TenantryError.code
            raise
        finally:
            _doing.reset(token)
            await self._end(noted(deed, notes, result), cut=result == "cancelled")
        return done

    async def disclose(self, deed: Deed, work: Callable[[], Awaitable[R]]) -> R:
        """Do something that changes nothing but shows much. Raises Unavailable, StorageFailed when it cannot be
        recorded: then nothing is shown."""
        notes = dict[str, Any]()
        token = _doing.set(notes)
        try:
            done = await work()
        except TenantryError as error:
            await self._end(noted(deed, notes, error.code), cut=False)
            raise
        finally:
            _doing.reset(token)
        await self._audit.record(noted(deed, notes, OK))
        return done

    async def refusal(self, deed: Deed) -> None:
        """Note that something was refused. Never raises."""
        await self._end(deed, cut=False)

    async def aclose(self) -> None:
        """Finish what is being written; safe to call twice."""
        await asyncio.gather(*self._left, return_exceptions=True)

    async def _end(self, deed: Deed, *, cut: bool) -> None:
        """Write an outcome. When the caller was cancelled, it is not kept waiting."""
        writing = asyncio.create_task(self._write(deed))
        self._left.add(writing)
        writing.add_done_callback(self._left.discard)
        if not cut:
            await asyncio.shield(writing)

    async def _write(self, deed: Deed) -> None:
        for left in reversed(range(TRIES)):
            try:
                await self._audit.record(deed)
                return
            except TenantryError as error:
                if not left:
                    entry = msgspec.json.encode(deed).decode()
                    log.error("the audit log could not be written (%s); the entry: %s", error, entry)
                    return
            await self._clock.sleep(PAUSE_S)


def note(**found: str) -> None:
    """Add to the record of what is being done: columns of `Deed` by their name, anything else as detail."""
    notes = _doing.get()
    if notes is not None:
        notes.update(found)


def noted(deed: Deed, notes: dict[str, Any], result: str) -> Deed:
    """The deed with its result, and what was noted while it was done."""
    columns = {name: notes[name] for name in notes if name in Deed.__struct_fields__}
    detail = {name: value for name, value in notes.items() if name not in columns}
    return msgspec.structs.replace(deed, result=result, detail={**deed.detail, **detail}, **columns)


def recorded(action: str, **columns: str) -> Callable[[F], F]:
    """For methods that change the cluster: recorded, unless they are part of something that is.

    Args:
        columns: columns of `Deed` to the parameters that they come from.
    """

    def decorate(method: F) -> F:
        signature = inspect.signature(method)

        @functools.wraps(method)
        async def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            deeds: Deeds | None = getattr(self, "_deeds", None)
            if deeds is None or _doing.get() is not None:
                return await method(self, *args, **kwargs)
            given = signature.bind(self, *args, **kwargs)  # a TypeError is the caller's, as without the record
            given.apply_defaults()
            values = {name: value for name, value in given.arguments.items() if name != "self"}
            about = {column: values.pop(name, None) for column, name in columns.items()}
            deed = Deed(at_us=0, actor=LIBRARY, action=action, result=BEGUN, detail=detail_of(values), **_texts(about))
            return await deeds.change(deed, lambda: method(self, *args, **kwargs))

        return cast(F, call)

    return decorate


def recording(deeds: Deeds, *faces: object) -> None:
    """Have the `recorded` methods of these objects recorded from now on."""
    for face in faces:
        face._deeds = deeds  # type: ignore[attr-defined]


class RecordedScatter(Scatter):
    """A scatter whose use is recorded, unless it is part of something that is."""

    _deeds: Deeds | None = None

    async def search(self, *args: Any, **kwargs: Any) -> ScatterResult:
        """As `Scatter.search`."""
        if self._deeds is None or _doing.get() is not None:
            return await super().search(*args, **kwargs)
        given = inspect.signature(super().search).bind(*args, **kwargs).arguments
        query = given.pop("query", None)
        detail = detail_of({**given, "top_k": getattr(query, "top_k", None)})
        detail.pop("index", None)
        deed = Deed(at_us=0, actor=LIBRARY, action="search", result=BEGUN, index=given.get("index"), detail=detail)
        return await self._deeds.disclose(deed, lambda: super(RecordedScatter, self).search(*args, **kwargs))


def detail_of(values: dict[str, Any]) -> dict[str, str | int | float | bool]:
    """What of some parameters is written down: numbers, short words, how many of many; nothing nested, which may hold
    data or secrets."""
    detail: dict[str, str | int | float | bool] = {}
    for name, value in values.items():
        if isinstance(value, bool | int | float | str):
            detail[name] = value
        elif name == "tenants" and isinstance(value, list | tuple):
            detail[name] = ", ".join(map(str, value[:NAMES_MOST])) + (" ..." if len(value) > NAMES_MOST else "")
            detail["tenants_named"] = len(value)
    return detail


def _texts(about: dict[str, Any]) -> dict[str, Any]:
    return {column: None if value is None else str(value) for column, value in about.items()}


#: Notes of what is being recorded at present; None: nothing is.
_doing: ContextVar[dict[str, Any] | None] = ContextVar("tenantry_doing", default=None)
