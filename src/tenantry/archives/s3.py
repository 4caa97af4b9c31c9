"""An archive in an S3 bucket, or in one of a server that speaks its protocol."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import S3Store

from tenantry.archives.names import check_name
from tenantry.errors import InvalidArgument, NotFound, PermissionDenied, StorageFailed, Unavailable
from tenantry.ports import Stored

REQUEST_S = 60
CONNECT_S = 5
TRIES = 5
TRIES_S = 30


class S3Archive:
    """Implements `tenantry.ports.Archive`. An object is made with ``If-None-Match: *``, so of two that write the same
    name one is told that it is taken.

    Credentials, region and endpoint come from the environment, as every tool for S3 knows them
    (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``), or
    from the role of the machine. They are never in the URL, in settings or in the catalog.

    Args:
        url: ``s3://bucket/prefix``.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.hostname or parts.username or parts.query:
            raise InvalidArgument("archive", url.partition("?")[0], "s3://BUCKET or s3://BUCKET/PREFIX")
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        prefix = parts.path.strip("/")
        self._where = f"s3://{parts.hostname}/{prefix}".rstrip("/")
        self._store = S3Store(
            parts.hostname,
            prefix=prefix or None,
            client_options={
                "timeout": timedelta(seconds=REQUEST_S),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "allow_http": endpoint.startswith("http://"),
            },
            retry_config={"max_retries": TRIES, "retry_timeout": timedelta(seconds=TRIES_S)},
        )

    @property
    def where(self) -> str:
        """The URL."""
        return self._where

    async def put(self, name: str, data: bytes | memoryview) -> bool:
        """Durable when it returns."""
        with self._ours(name):
            try:
                await obstore.put_async(self._store, check_name(name), bytes(data), mode="create", use_multipart=False)
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                return False
        return True

    async def get(self, name: str) -> bytes:
        """Raises NotFound."""
        with self._ours(name):
            found = await obstore.get_async(self._store, check_name(name))
            return bytes(await found.bytes_async())

    async def list(self, prefix: str) -> AsyncIterator[Stored]:
        """A thousand a request. A prefix ends with ``/`` there; what follows is filtered here."""
        folder = prefix.rpartition("/")[0]
        pages: Any = obstore.list(self._store, prefix=folder or None, chunk_size=1_000).__aiter__()
        while True:
            with self._ours(prefix):
                try:
                    page = await pages.__anext__()
                except StopAsyncIteration:
                    return
            for one in page:
                if one["path"].startswith(prefix):
                    yield Stored(one["path"], one["size"])

    async def delete(self, name: str) -> None:
        """S3 says the same whether it was there or not."""
        with self._ours(name):
            try:
                await obstore.delete_async(self._store, check_name(name))
            except (exceptions.NotFoundError, FileNotFoundError):
                return

    async def flush(self) -> None:
        """Nothing waits: S3 answers when an object is durable."""

    async def aclose(self) -> None:
        """Connections close by themselves."""

    @contextmanager
    def _ours(self, name: str) -> Iterator[None]:
        try:
            yield
        except (exceptions.NotFoundError, FileNotFoundError) as error:
            if "NoSuchBucket" in str(error):
                raise StorageFailed(f"archive {self._where}: there is no such bucket; make it first") from error
            raise NotFound("object", name, f"in {self._where}") from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise PermissionDenied(
                f"archive {self._where}: access denied; look at AWS_ACCESS_KEY_ID and what its key may do"
            ) from error
        except (exceptions.BaseError, OSError) as error:
            raise Unavailable(f"archive {self._where} cannot be reached: {_first_line(error)}", 5.0) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
