"""Pinecone's two shapes of errors, and the statuses where Pinecone differs from our own table."""

from __future__ import annotations

import msgspec

from tenantry.errors import CapacityExceeded, Refused, TenantryError
from tenantry.gateway.errors import STATUSES, public_message, status_of
from tenantry.gateway.table import Face

#: Protected or suspended: 412, which SDKs raise as FailedPreconditionError and do not retry. Over capacity: 403,
#: which Pinecone answers when a quota is used up.
PINECONE_STATUSES: tuple[tuple[type[TenantryError], int], ...] = ((CapacityExceeded, 403), (Refused, 412), *STATUSES)

#: The data plane tells gRPC's numbers, the control plane their names.
CODES = {
    400: (3, "INVALID_ARGUMENT"),
    401: (16, "UNAUTHENTICATED"),
    403: (7, "FORBIDDEN"),
    404: (5, "NOT_FOUND"),
    405: (12, "UNIMPLEMENTED"),
    409: (6, "ALREADY_EXISTS"),
    412: (9, "FAILED_PRECONDITION"),
    413: (11, "OUT_OF_RANGE"),
    415: (3, "INVALID_ARGUMENT"),
    429: (8, "RESOURCE_EXHAUSTED"),
    500: (13, "INTERNAL"),
    501: (12, "UNIMPLEMENTED"),
    503: (14, "UNAVAILABLE"),
    504: (4, "DEADLINE_EXCEEDED"),
}
FIELDS = {"tenant": "namespace", "top_k": "topK", "batch": "vectors"}


class RpcStatus(msgspec.Struct, frozen=True):
    """Error of the data plane."""

    code: int
    message: str
    details: list[str] = msgspec.field(default_factory=list)


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong on the control plane."""

    code: str
    message: str


class ErrorResponse(msgspec.Struct, frozen=True):
    """Error of the control plane."""

    error: ErrorDetail
    status: int


def data_body(error: TenantryError, request_id: str) -> tuple[int, bytes]:
    """Status and body in the data plane's shape."""
    status = status_of(error, PINECONE_STATUSES)
    return status, msgspec.json.encode(RpcStatus(CODES[status][0], public_message(error, request_id)))


def control_body(error: TenantryError, request_id: str) -> tuple[int, bytes]:
    """Status and body in the control plane's shape."""
    status = status_of(error, PINECONE_STATUSES)
    if isinstance(error, Refused) and not isinstance(error, CapacityExceeded):
        status = 403  # the only refusal there is deletion protection, which Pinecone answers with 403
    detail = ErrorDetail(CODES[status][1], public_message(error, request_id))
    return status, msgspec.json.encode(ErrorResponse(detail, status))


DATA = Face(name="pinecone-data", render=data_body, fields=FIELDS)
CONTROL = Face(name="pinecone-control", render=control_body, fields={"index": "name"})
