"""OpenAI's embeddings, and every server that speaks its API."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from tenantry.errors import (
    DeadlineExceeded,
    InvalidArgument,
    RateLimited,
    Refused,
    TenantryError,
    TooLarge,
    Unavailable,
)
from tenantry.model.limits import MAX_DIMENSION
from tenantry.model.records import Vector

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from tenantry.settings import Settings

DEFAULT_MODEL = "text-embedding-3-small"
OPENAI_URL = "https://api.openai.com/v1"
#: OpenAI takes 2,048 texts and 300,000 tokens a request. A token is at least one byte, so bytes bound tokens.
BATCH_TEXTS = 512
BATCH_BYTES = 250_000
TEXT_BYTES = BATCH_BYTES
REQUESTS_AT_ONCE = 4
MAX_RETRIES = 5
REQUEST_TIMEOUT_S = 30.0
TOTAL_TIMEOUT_S = 180.0
MESSAGE_CHARS = 300
GRAMMAR = (
    "openai:MODEL for " + "{models}" + ", or openai:MODEL@DIMENSION for fewer dimensions of theirs or for a model "
    "of another server"
)


class KnownModel(NamedTuple):
    """Native dimension, and whether the server shortens vectors on request (``dimensions``)."""

    dimension: int
    shortens: bool


KNOWN = {
    "text-embedding-3-small": KnownModel(1536, True),
    "text-embedding-3-large": KnownModel(3072, True),
    "text-embedding-ada-002": KnownModel(1536, False),
}


class OpenAIEmbedder:
    """Embeds through the official ``openai`` SDK.

    Named ``openai:MODEL`` or ``openai:MODEL@DIMENSION``:

    * ``openai:text-embedding-3-small`` (1,536), ``-3-large`` (3,072), ``text-embedding-ada-002`` (1,536);
    * ``openai:text-embedding-3-small@512``: the server is asked for 512 dimensions (not for ada-002);
    * ``openai:nomic-embed-text@768``: a model of another server (``TENANTRY_OPENAI_BASE_URL``), whose dimension we
      cannot know. It is held against every answer, and not sent, since most such servers refuse the parameter.

    Retries are the SDK's: 429, 408, 409, 5xx and lost connections, with exponential backoff and jitter, or after
    the time that ``Retry-After`` asks for (up to two minutes); at most 5 per request, and at most 180 s in all.
    We add none of our own: a second layer would multiply the attempts just when the service asks for fewer.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None,
        base_url: str | None = None,
        max_retries: int = MAX_RETRIES,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        self._name, self._dimension, self._asked = parse_model(model)
        self._api_key = api_key
        self._base_url = base_url
        self._max_retries = max_retries
        self._request_timeout_s = request_timeout_s
        self._total_timeout_s = total_timeout_s
        self._client: AsyncOpenAI | None = None

    @classmethod
    def from_settings(cls, settings: Settings, model: str) -> Self:
        """The embedder called ``openai:MODEL``. Raises InvalidArgument for a model of unknown dimension."""
        key = settings.openai_api_key
        return cls(model, api_key=key.get_secret_value() if key else None, base_url=settings.openai_base_url)

    @property
    def model(self) -> str:
        """``openai:MODEL``, with ``@DIMENSION`` unless that is the model's own."""
        known = KNOWN.get(self._name)
        own = known is not None and known.dimension == self._dimension
        return f"openai:{self._name}" + ("" if own else f"@{self._dimension}")

    @property
    def dimension(self) -> int:
        """Of the model, or as asked for after ``@``."""
        return self._dimension

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector per text, in order; in requests of bounded size, a few at once.

        Raises:
            InvalidArgument, TooLarge: an empty or over-long text, by its place; or the server refuses the input.
            Refused: the configuration is wrong (key, model, dimension, quota); the message says which setting.
            RateLimited: still over the rate limit after all retries.
            DeadlineExceeded, Unavailable: no answer in time, or not a proper one.
        """
        for number, text in enumerate(texts):
            _check(text, f"texts[{number}]")
        if not texts:
            return []
        client = self._open()
        try:
            async with asyncio.timeout(self._total_timeout_s):
                parts = await self._all(client, list(_batches(texts)))
        except TimeoutError as late:
            raise DeadlineExceeded(
                f"embedding {len(texts)} texts with {self.model} took over {self._total_timeout_s:g} s"
            ) from late
        return [vector for part in parts for vector in part]

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _all(self, client: AsyncOpenAI, batches: list[list[str]]) -> list[list[Vector]]:
        room = asyncio.Semaphore(REQUESTS_AT_ONCE)

        async def one(batch: list[str]) -> list[Vector]:
            async with room:
                return await self._request(client, batch)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(batch)) for batch in batches]
        except BaseExceptionGroup as failed:
            first = _first(failed)
            raise first from first.__cause__
        return [task.result() for task in tasks]

    async def _request(self, client: AsyncOpenAI, batch: list[str]) -> list[Vector]:
        import openai

        try:
            if self._asked is None:
                answer = await client.embeddings.create(model=self._name, input=batch)
            else:
                answer = await client.embeddings.create(model=self._name, input=batch, dimensions=self._asked)
            return self._vectors(answer.data, len(batch))
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            # Not chained: some servers put the key into their message.
            raise Refused(
                f"{self._where} refused the API key (HTTP {error.status_code}); set TENANTRY_OPENAI_API_KEY to a key "
                f"that may use {self._name!r}"
            ) from None
        except openai.OpenAIError as error:
            raise self._mapped(error) from error
        except (ValueError, TypeError) as error:
            raise Unavailable(f"{self._where} sent an answer that is none: {error}") from error

    def _vectors(self, data: list[Any], count: int) -> list[Vector]:
        """The answer's vectors in the order of the texts, every one checked."""
        by_place = {item.index: item.embedding for item in data}
        if len(data) != count or by_place.keys() != set(range(count)):
            raise Unavailable(f"{self._where} answered {count} texts with {len(data)} vectors")
        rows: list[Vector] = []
        for place in range(count):
            row = np.asarray(by_place[place], dtype=np.float32)
            if row.shape != (self._dimension,):
                found = row.shape[0] if row.ndim == 1 else row.shape
                raise Refused(
                    f"{self._where} gives vectors of {found} dimensions for {self._name!r}, not {self._dimension}; "
                    f"name the embedder openai:{self._name}@{found}"
                )
            square = float(np.dot(row, row))
            if not (math.isfinite(square) and square > 0.0):
                raise Unavailable(f"{self._where} sent a vector that is zero or not finite")
            rows.append(row)
        return rows

    def _mapped(self, error: Exception) -> TenantryError:
        import openai

        said = _said(error)
        if isinstance(error, openai.RateLimitError):
            if error.code == "insufficient_quota":
                return Refused(f"the quota of this account with {self._where} is used up: {said}")
            return RateLimited(
                f"{self._where} is over its rate limit after {self._max_retries} retries", _retry_after_s(error)
            )
        if isinstance(error, openai.APITimeoutError):
            return DeadlineExceeded(f"{self._where} did not answer within {self._request_timeout_s:g} s")
        if isinstance(error, openai.NotFoundError):
            return Refused(f"{self._where} does not know model {self._name!r} (or has no embeddings): {said}")
        if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
            return InvalidArgument("texts", said, f"what {self._where} accepts as input of {self._name!r}")
        if isinstance(error, openai.APIStatusError):
            return Unavailable(f"{self._where} answered HTTP {error.status_code}: {said}", _retry_after_s(error))
        if isinstance(error, openai.APIConnectionError):
            return Unavailable(f"{self._where} cannot be reached; see TENANTRY_OPENAI_BASE_URL")
        return Unavailable(f"{self._where}: {said}")

    @property
    def _where(self) -> str:
        return f"the embedding server {self._base_url}" if self._base_url else "OpenAI"

    def _open(self) -> AsyncOpenAI:
        if self._client is not None:
            return self._client
        try:
            from openai import AsyncOpenAI
        except ImportError as error:
            raise Refused("openai: embedders need the package openai; pip install tenantry[openai]") from error
        if not self._api_key and not self._base_url:
            raise Refused(f"{self.model} needs a key: set TENANTRY_OPENAI_API_KEY")
        # Everything is said explicitly, so that variables which the SDK reads by itself (OPENAI_API_KEY,
        # OPENAI_BASE_URL) cannot send a key where it does not belong. Local servers want a key but ignore it.
        self._client = AsyncOpenAI(
            api_key=self._api_key or "none",
            base_url=self._base_url or OPENAI_URL,
            max_retries=self._max_retries,
            timeout=self._request_timeout_s,
        )
        return self._client


def parse_model(given: str) -> tuple[str, int, int | None]:
    """Model, dimension, and the dimension to ask the server for (None: do not say). Raises InvalidArgument."""
    text = given or DEFAULT_MODEL
    name, at, digits = text.rpartition("@")
    if not at:
        name, digits = text, ""
    known = KNOWN.get(name)
    allowed = GRAMMAR.format(models=", ".join(KNOWN))
    if not name or (at and not (digits.isascii() and digits.isdigit())) or (not at and known is None):
        raise InvalidArgument("embedder", f"openai:{given}", allowed)
    if not at:
        assert known is not None  # noqa: S101
        return name, known.dimension, None
    dimension = int(digits)
    most = known.dimension if known is not None else MAX_DIMENSION
    if not 1 <= dimension <= most:
        raise InvalidArgument("embedder", f"openai:{given}", f"a dimension from 1 to {most}")
    if known is None or dimension == known.dimension:
        return name, dimension, None
    if not known.shortens:
        raise InvalidArgument("embedder", f"openai:{given}", f"openai:{name}, whose vectors cannot be shortened")
    return name, dimension, dimension


def _check(text: str, field: str) -> None:
    if not isinstance(text, str) or not text.strip():
        raise InvalidArgument(field, text, "a text that is not blank")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgument(field, text[error.start], "Unicode text without lone surrogates") from None
    if size > TEXT_BYTES:
        raise TooLarge(field, f"{size} bytes", f"at most {TEXT_BYTES}")


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        more = len(text.encode())
        if batch and (len(batch) >= BATCH_TEXTS or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += more
    if batch:
        yield batch


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error of the first request that failed; the others were cancelled by it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _said(error: Exception) -> str:
    """The server's own words, shortened."""
    text = str(getattr(error, "message", "") or error)
    return text if len(text) <= MESSAGE_CHARS else text[: MESSAGE_CHARS - 3] + "..."


def _retry_after_s(error: Any) -> float:
    try:
        wait_s = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return 1.0
    return wait_s if math.isfinite(wait_s) and wait_s > 0 else 1.0
