"""Errors of SQLite, psycopg and SQLAlchemy as errors of Tenantry, always chained to the vendor's own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy.exc as sa_exc

from tenantry.errors import Bug, Corrupt, InvalidArgument, StorageFailed, TenantryError, TooLarge, Unavailable
from tenantry.vendors.postgres import error_of

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
        return error_of(cause, f"catalog {where}", recovery)
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
