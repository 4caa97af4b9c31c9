"""The demo's documents: what AWS services do, one operation a document, out of the installed package ``botocore``.

botocore is Copyright Amazon.com, Inc. or its affiliates, under the Apache License 2.0. Each service is a tenant:
real text, and sizes as uneven as those of real customers.
"""

from __future__ import annotations

import gzip
import html
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tenantry.cli.failures import Failure

if TYPE_CHECKING:
    from tenantry.documents.store import Document

LICENCE = "Apache-2.0"
#: With `SHOWCASE`, every so many services of the ranking by size make the small corpus: fewer, as uneven.
SMALL_STEP = 4
#: Tenants that the report shows; they are in the small corpus too.
SHOWCASE = ("s3", "dynamodb", "lambda", "sqs", "kms")
_BLOCK = re.compile(r"</?(?:p|li|ul|ol|dl|dt|dd|div|br|h\d|note|important|table|tr|fullname)\b[^>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^>]+>")
_SPACES = re.compile(r"[ \t\r\f\v]+")
_LINES = re.compile(r"\s*\n\s*")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Service(msgspec.Struct, frozen=True):
    """A tenant to be: its name, what the service is called, and a document for each operation."""

    name: str
    title: str
    documents: list[Document]


class Corpus(msgspec.Struct, frozen=True):
    """What the demo loads. ``source`` names package and version."""

    source: str
    services: list[Service]

    @property
    def documents(self) -> int:
        """How many, over all services."""
        return sum(len(service.documents) for service in self.services)


class _Metadata(msgspec.Struct):
    serviceFullName: str = ""  # noqa: N815


class _Operation(msgspec.Struct):
    documentation: str = ""


class _Model(msgspec.Struct):
    """The part of a service description that we read."""

    metadata: _Metadata
    operations: dict[str, _Operation]


def load_corpus(small: bool) -> Corpus:
    """Read the newest description of every service, or of a part of them that is as uneven.

    Raises Failure when botocore is not installed.
    """
    try:
        import botocore
    except ImportError:
        raise Failure(
            "the demo reads its documents out of the package botocore, which is not installed",
            "pip install 'tenantry[demo]'",
        ) from None
    data = Path(botocore.__file__).parent / "data"
    found = [service for folder in sorted(data.iterdir()) if (service := _service(folder)) is not None]
    if small:
        ranked = sorted(found, key=lambda service: (-len(service.documents), service.name))
        chosen = {service.name for service in ranked[::SMALL_STEP]} | set(SHOWCASE)
        found = [service for service in found if service.name in chosen]
    return Corpus(f"botocore {botocore.__version__}", found)


def plain_text(documentation: str) -> str:
    """The text of an HTML fragment: a paragraph a line."""
    text = html.unescape(_TAG.sub("", _BLOCK.sub("\n", documentation)))
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()


def _service(folder: Path) -> Service | None:
    from tenantry.documents.store import Document

    described = sorted(folder.glob("*/service-2.json*")) if folder.is_dir() else []
    if not described:
        return None
    raw = described[-1].read_bytes()
    model = msgspec.json.decode(gzip.decompress(raw) if described[-1].suffix == ".gz" else raw, type=_Model)
    title = model.metadata.serviceFullName or folder.name
    documents = []
    for operation, described_as in sorted(model.operations.items()):
        text = plain_text(described_as.documentation)
        if text:
            named = f"{_WORDS.sub(' ', operation)}\n{text}"
            documents.append(Document(operation, named, {"service": folder.name, "operation": operation}))
    return Service(folder.name, title, documents) if documents else None
