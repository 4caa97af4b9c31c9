"""Errors of SQLite, psycopg and SQLAlchemy as errors of Tenantry, always chained to the vendor's own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy.exc as sa_exc

from tenantry.errors import (
    Bug,
    Conflict,
    Corrupt,
    InvalidArgument,
    Refused,
    StorageFailed,
    TenantryError,
    TooLarge,
    Unavailable,
)

#: How to get a damaged catalog back; shown with every `Corrupt`.
SQLITE_RECOVERY = (
    "stop Tenantry and restore the file from a backup, or rescue what is readable with "
    "`sqlite3 {file} .recover | sqlite3 rescued.db`"
)
POSTGRES_RECOVERY = "restore the database from a backup"

_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL}
_SQLITE_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SQLITE_STORAGE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}


#: By SQLSTATE, or by its class (the first two characters); see PostgreSQL's appendix A. Without one, the server
#: was not reached or went away.
_POSTGRES: Mapping[str, tuple[type[TenantryError], str]] = {
    "": (Unavailable, "is unavailable"),
    "08": (Unavailable, "is unavailable"),
    "25": (Unavailable, "takes no writes at the moment"),
    "28": (Unavailable, "refused the login"),
    "3D": (Unavailable, "does not exist"),
    "40": (Conflict, "had a concurrent change that won: look again and repeat"),
    "42501": (Refused, "gives this role too few rights"),
    "42703": (Corrupt, "has a table that is not as Tenantry made it"),
    "42P01": (Corrupt, "lacks a table"),
    "53": (Unavailable, "is out of resources"),
    "53100": (StorageFailed, "has a full disk"),
    "55": (Unavailable, "was locked too long by another process"),
    "57": (Unavailable, "cut the statement off"),
    "58": (StorageFailed, "could not read or write its files"),
    "XX": (Corrupt, "is damaged"),
}


@contextmanager
def translated(where: str, recovery: str) -> Iterator[None]:
    """Run the body; whatever a vendor raises there comes out as an error of `tenantry.errors`.

    Args:
        where: the catalog as people know it: its file, or host and database; never a password.
        recovery: what to do when it is damaged.
    """
    try:
        yield
    except (TenantryError, asyncio.CancelledError):
        raise
    except sa_exc.TimeoutError as error:
        raise Unavailable(f"catalog {where}: every connection is in use") from error
    except TimeoutError as error:
        raise Unavailable(f"catalog {where}: waited too long for other writers") from error
    except UnicodeEncodeError as error:
        raise InvalidArgument("text", error.object, "text that UTF-8 can carry (no lone surrogates)") from error
    except sa_exc.StatementError as error:  # DBAPIError is one of these
        raise _of_statement(error, where, recovery) from error
    except sqlite3.Error as error:
        raise _of_sqlite(error, where, recovery) from error
    except sa_exc.SQLAlchemyError as error:
        raise Bug(f"catalog {where}: {error}") from error
    except OSError as error:
        raise Unavailable(f"catalog {where}: {error}") from error


def _of_statement(error: sa_exc.StatementError, where: str, recovery: str) -> TenantryError:
    cause = error.orig
    if isinstance(cause, UnicodeEncodeError):
        return InvalidArgument("text", cause.object, "text that UTF-8 can carry (no lone surrogates)")
    if isinstance(cause, OverflowError):
        return InvalidArgument("number", str(cause), "whole numbers of 64 bits")
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause, where, recovery)
    if isinstance(cause, BaseException) and type(cause).__module__.startswith("psycopg"):
        return _of_postgres(cause, where, recovery)
    return Bug(f"catalog {where}: {error}")


def _of_sqlite(error: sqlite3.Error, where: str, recovery: str) -> TenantryError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _SQLITE_BUSY:
        return Unavailable(f"catalog {where}: another process kept it locked too long ({error})")
    if code in _SQLITE_CORRUPT:
        return Corrupt(f"catalog {where} is damaged ({error}); {recovery}")
    if code in _SQLITE_STORAGE:
        return StorageFailed(f"catalog {where} cannot be read or written ({error}); check space and permissions")
    if code == sqlite3.SQLITE_TOOBIG:
        return TooLarge("value", "a text over SQLite's limit", "shorter text")
    return Bug(f"catalog {where}: {error}")


def _of_postgres(error: BaseException, where: str, recovery: str) -> TenantryError:
    state: str = getattr(error, "sqlstate", None) or ""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if state.startswith("22") or (not state and type(error).__name__ == "DataError"):  # psycopg refuses NUL itself
        return InvalidArgument("text", text, "values that PostgreSQL can store (no NUL characters)")
    if state.startswith("54"):
        return TooLarge("name", text, "a shorter name")
    kind, says = _POSTGRES.get(state) or _POSTGRES.get(state[:2], (Bug, "failed with {state}"))
    message = f"catalog {where} {says.format(state=state)} ({text})"
    return kind(f"{message}; {recovery}" if kind is Corrupt else message)
