"""Errors of psycopg as errors of Tenantry."""

from __future__ import annotations

from collections.abc import Mapping

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

#: By SQLSTATE, or by its class (the first two characters); see PostgreSQL's appendix A. Without one, the server
#: was not reached or went away.
_STATES: Mapping[str, tuple[type[TenantryError], str]] = {
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


def error_of(error: BaseException, where: str, recovery: str) -> TenantryError:
    """What an error of psycopg comes to.

    Args:
        where: the database as people know it, as the subject of a sentence; never a password.
        recovery: what to do when it is damaged.
    """
    state: str = getattr(error, "sqlstate", None) or ""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if state.startswith("22") or (not state and type(error).__name__ == "DataError"):  # psycopg refuses NUL itself
        return InvalidArgument("text", text, "values that PostgreSQL can store (no NUL characters)")
    if state.startswith("54"):
        return TooLarge("name", text, "a shorter name")
    kind, says = _STATES.get(state) or _STATES.get(state[:2], (Bug, "failed with {state}"))
    message = f"{where} {says.format(state=state)} ({text})"
    return kind(f"{message}; {recovery}" if kind is Corrupt else message)
