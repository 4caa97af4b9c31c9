"""Errors of pymilvus and gRPC on a shard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from pymilvus import MilvusException
from pymilvus.exceptions import ConnectionConfigException, MilvusUnavailableException, ParamError

from tenantry.errors import (
    DeadlineExceeded,
    NotFound,
    RateLimited,
    Refused,
    TenantryError,
    Unavailable,
)

#: Codes of Milvus: https://github.com/milvus-io/milvus/blob/master/pkg/util/merr/errors.go
COLLECTION_MISSING = 100
LIMITED = frozenset({4, 8})
NOT_LOADED = 101
PASSING = frozenset({1, 2, 3, 5, 7, 9, 104, 502, 503})
LOGIN = frozenset({1400, 1401})
_LATE = (grpc.StatusCode.DEADLINE_EXCEEDED,)
_LOGIN = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class NotLoadedError(Unavailable):
    """The server has let a collection go from its memory, as Milvus Lite does when it starts."""


@contextmanager
def translated(where: str, namespace: str = "") -> Iterator[None]:
    """Run the body; what pymilvus raises there comes out as an error of Tenantry."""
    try:
        yield
    except TenantryError:
        raise
    except TimeoutError as error:
        raise DeadlineExceeded(f"{where}: no answer within the shard's request_s") from error
    except (ParamError, ConnectionConfigException) as error:
        raise Refused(f"{where}: {error.message}") from error
    except MilvusUnavailableException as error:
        raise Unavailable(f"{where} is unavailable: {error.message}") from error
    except MilvusException as error:
        raise _of_code(error, where, namespace) from error
    except grpc.RpcError as error:
        raise _of_status(error.code() if hasattr(error, "code") else None, str(error), where) from error
    except OSError as error:
        raise Unavailable(f"{where} is unavailable: {error}") from error


def _of_code(error: MilvusException, where: str, namespace: str) -> TenantryError:
    code, said = error.code, str(error.message)[:500]
    if isinstance(code, grpc.StatusCode):
        return _of_status(code, said, where)
    if code == COLLECTION_MISSING and namespace:
        return NotFound("namespace", namespace)
    if code == NOT_LOADED:
        return NotLoadedError(f"{where}: {said}")
    if code in LIMITED:
        return RateLimited(f"{where}: {said}")
    if code in LOGIN:
        return Unavailable(f"{where} refuses the login: {said}; see the options token_env and token_file")
    if "imeout" in said:
        return DeadlineExceeded(f"{where}: {said}")
    if code in PASSING or "connect" in said:
        return Unavailable(f"{where} is unavailable: {said}")
    return Refused(f"{where} refused: {said} (code {code})")


def _of_status(status: grpc.StatusCode | None, said: str, where: str) -> TenantryError:
    if status in _LATE:
        return DeadlineExceeded(f"{where}: no answer within the shard's request_s")
    if status in _LOGIN:
        return Unavailable(f"{where} refuses the login; see the options token_env and token_file")
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return RateLimited(f"{where}: {said[:500]}")
    return Unavailable(f"{where} is unavailable: {said[:500]}")
