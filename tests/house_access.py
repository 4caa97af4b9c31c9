"""The page that says what each kind of key may call, made from the table of routes."""

from __future__ import annotations

from typing import Any

HEAD = """\
# What each kind of key may call

<!-- Made by `python tests/house.py --write` from the table of routes; do not edit. -->

Every operation declares a right and how far it reaches (`Access` in `gateway/table.py`); every kind of key has rights
(`RIGHTS` in `model/keys.py`). A test drives every operation with every kind of key and expects what stands here.

| scope | made with `tenantry keys create` | good for |
|---|---|---|
| `admin` | `--admin` | everything |
| `operator` | `--operator` | seeing and steering indexes, shards, tenants, moves; no data, no keys, no deletion |
| `tenant` | `--tenant NAME` | one tenant's records and documents |
| `tenant-read` | `--tenant NAME --read-only` | reading them |
| `reader` | `--reader`, `--reader --only INDEX` | reading every tenant, of all indexes or one, and searching across |

In the table `yes` stands for allowed; `own` for allowed in what the key is bound to, and 403 for everything else,
whether that exists or not; `part` for an answer that shows nothing but what the key is bound to; `-` for 403. Without a
key, or with one that is unknown, expired or revoked, the answer is 401, except where `none` says `yes`. A `reader` that
is held to one index gets `own` where there is `yes`.
"""
COLUMNS = ("none", "admin", "operator", "tenant", "tenant-read", "reader")


def cell(endpoint: Any, column: str) -> str:
    """What a kind of key gets."""
    from tenantry.gateway.table import Reach
    from tenantry.model.keys import OF_A_TENANT, RIGHTS, Scope

    access = endpoint.access
    if access.right is None:
        return "yes"
    if column == "none" or access.right not in RIGHTS[Scope(column)]:
        return "-" if column != "none" else "401"
    if Scope(column) in OF_A_TENANT:
        return "part" if access.reach in (Reach.PART, Reach.OWN) else "own"
    return "yes"


def endpoints() -> list[Any]:
    """Every operation that is documented."""
    from types import SimpleNamespace

    from tenantry.gateway import operations
    from tenantry.gateway.native import routes as native
    from tenantry.gateway.pinecone import routes as pinecone

    frame: Any = SimpleNamespace(telemetry=None)
    apis = [*native.routes(), *pinecone.routes(), *operations.routes(frame, [])]
    return [one for one in apis if one.documented and not one.path.startswith("/i/{index}")]


def access_reference() -> str:
    """The whole page."""
    titles = {
        "native": "Native API",
        "pinecone-data": "Pinecone's data plane",
        "pinecone-control": "Pinecone's control plane",
    }
    lines = [HEAD]
    for face, title in titles.items():
        lines += [f"## {title}", ""]
        if face == "pinecone-data":
            lines += ["The same under `/i/INDEX`.", ""]
        lines += [f"| operation | recorded as | {' | '.join(COLUMNS)} |", "|---|---|" + "---|" * len(COLUMNS)]
        for one in sorted(endpoints(), key=lambda one: (one.path, one.method)):
            if one.face.name == face:
                cells = " | ".join(cell(one, column) for column in COLUMNS)
                lines.append(f"| `{one.method} {one.path}` | {f'`{one.action}`' if one.action else ''} | {cells} |")
        lines.append("")
    return "\n".join(lines)
