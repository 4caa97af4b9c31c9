"""Errors of qdrant-client on a shard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import msgspec
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from tenantry.errors import (
    DeadlineExceeded,
    NotFound,
    RateLimited,
    Refused,
    TenantryError,
    TooLarge,
    Unavailable,
)


@contextmanager
def translated(where: str, namespace: str = "") -> Iterator[None]:
    """Run the body; what qdrant-client raises there comes out as an error of Tenantry."""
    try:
        yield
    except TenantryError:
        raise
    except ResourceExhaustedResponse as error:
        raise RateLimited(f"{where}: {error}", retry_after_s=float(error.retry_after_s)) from error
    except UnexpectedResponse as error:
        raise _of_status(error, where, namespace) from error
    except ResponseHandlingException as error:
        if isinstance(error.source, httpx.TimeoutException):
            raise DeadlineExceeded(f"{where}: no answer within the shard's request_s") from error
        raise Unavailable(f"{where} is unavailable: {error.source or type(error.source).__name__}") from error
    except ValueError as error:  # the engine in the client's own process
        if namespace and str(error).endswith("not found"):
            raise NotFound("namespace", namespace) from error
        raise Refused(f"{where} refused: {error}") from error
    except (AssertionError, AttributeError, TypeError) as error:  # so its client says of answers that make no sense
        raise Unavailable(f"{where} does not answer as Qdrant does: {error}") from error
    except (RuntimeError, OSError) as error:  # that engine closed, or its folder in use
        raise Unavailable(f"{where} is unavailable: {error}") from error


def _of_status(error: UnexpectedResponse, where: str, namespace: str) -> TenantryError:
    status = error.status_code or 0
    try:
        said = str(msgspec.json.decode(error.content)["status"]["error"])[:500]
    except (msgspec.DecodeError, KeyError, TypeError):
        said = str(error.reason_phrase)
    message = f"{where} answered {status}: {said}"
    if status == 404 and namespace:
        return NotFound("namespace", namespace)
    if status == 413:
        return TooLarge("vectors", said, "less at once")
    if status in (401, 403):
        return Unavailable(f"{message}; the login is refused: see the options api_key_env and api_key_file")
    return Unavailable(message) if status >= 500 or status == 408 else Refused(message)
