"""The native API's operations on API keys."""

from __future__ import annotations

from typing import Any

from tenantry.gateway.native import admin as handlers
from tenantry.gateway.native import wire
from tenantry.gateway.table import Endpoint


def routes(admin: Any) -> list[Endpoint]:
    """The table; ``admin`` makes an endpoint for admin keys."""
    return [
        admin(
            method="GET",
            path="/v1/keys",
            handle=handlers.list_keys,
            query=wire.ListKeys,
            response=wire.Keys,
            summary="List API keys",
        ),
        admin(
            method="POST",
            path="/v1/keys/{id}/rotate",
            handle=handlers.rotate_key,
            request=wire.RotateKey,
            response=wire.CreatedKey,
            status=201,
            action="key.rotate",
            summary="Put a new API key in place of one",
        ),
        admin(
            method="POST",
            path="/v1/keys",
            handle=handlers.create_key,
            request=wire.CreateKey,
            response=wire.CreatedKey,
            status=201,
            action="key.create",
            about={"index": "index", "tenant": "tenant"},
            summary="Create an API key",
        ),
        admin(
            method="DELETE",
            path="/v1/keys/{id}",
            handle=handlers.revoke_key,
            status=204,
            action="key.revoke",
            summary="Revoke an API key",
        ),
    ]
