"""Errors of psycopg and its pool on a shard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import psycopg_pool

from tenantry.errors import DeadlineExceeded, NotFound, TenantryError, Unavailable
from tenantry.vendors.postgres import error_of

RECOVERY = "restore the database from a backup"


@contextmanager
def translated(where: str, namespace: str = "") -> Iterator[None]:
    """Run the body; what psycopg raises there comes out as an error of Tenantry.

    Args:
        where: the database as people know it.
        namespace: whose table the body uses; without that table there is no such namespace.
    """
    try:
        yield
    except TenantryError:
        raise
    except psycopg_pool.PoolTimeout as error:
        raise Unavailable(f"{where}: no connection was free in time, or none can be made") from error
    except psycopg_pool.PoolClosed as error:
        raise Unavailable(f"{where}: closed") from error
    except psycopg.errors.QueryCanceled as error:
        raise DeadlineExceeded(f"{where}: a statement took longer than the shard's statement_s") from error
    except psycopg.errors.UndefinedTable as error:
        if namespace:
            raise NotFound("namespace", namespace) from error
        raise error_of(error, where, RECOVERY) from error
    except psycopg.Error as error:
        raise error_of(error, where, RECOVERY) from error
    except OSError as error:
        raise Unavailable(f"{where}: {error}") from error
